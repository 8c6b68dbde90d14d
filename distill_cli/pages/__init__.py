"""Self-contained HTML pages and their charts. Nothing here knows what a student is."""

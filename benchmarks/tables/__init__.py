"""What `make table` is made of: descriptions (YAML), the runs they ask for, recorded results, and pages."""

"""Students side by side: tables, charts and a page. From Python:

table = tabulate(load_students(["artifacts/students"]))
table.rows[0].validation.mean
"""

from distill_cli.comparison.sources import load_students
from distill_cli.comparison.students import Student, read_student
from distill_cli.comparison.table import Table, tabulate

__all__ = ["Student", "Table", "load_students", "read_student", "tabulate"]

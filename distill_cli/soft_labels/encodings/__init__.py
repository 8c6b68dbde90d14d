"""How a row of logits is stored. Temperature stays free: what is kept are logits, never probabilities.

A new encoding is a class with the members of `Encoding` and a YAML under conf/soft_labels. The bytes of every
row are specified in docs/encodings.md. `Dense` stands here because the keys of existing label sets name it so.
"""

from distill_cli.soft_labels.encodings.dense import Dense as Dense
from distill_cli.soft_labels.encodings.encoding import LAYOUT as LAYOUT
from distill_cli.soft_labels.encodings.encoding import Encoding as Encoding
from distill_cli.soft_labels.encodings.encoding import open_encoding as open_encoding
from distill_cli.soft_labels.encodings.encoding import row_bytes as row_bytes

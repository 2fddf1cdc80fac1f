"""The tree of resources, as callers read and write it: the mechanism, without any chapter's rules.

A request goes through `context` (who asks), `access` (may it?) and `read` or `write`. What is particular to a
chapter of the standard lies in csipd/db/chapters, one module each, in the terms of `chapter`.
"""

"""The standard: identifiers, the information model, its codec, the resource table. Pure: no I/O, no clock."""

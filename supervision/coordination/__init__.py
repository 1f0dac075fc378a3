"""The pure rules of blocking coordination: signals, waits and joins, liveness, mailboxes. No I/O, no clock."""

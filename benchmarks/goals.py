"""The goals of blocking coordination: what the plan asked for, and what the specification asks of us instead."""

NEXT_TASK = "signal to the next task of the chain started"
RELEASE_100 = "release of 100 waiters by one signal"
RELEASE_10_000 = "release of 10,000 waiters"
BLOCKED = "cost of a blocked wait"
RESTART = "after a restart of everything with 10,000 open waits"
DEATH = "death known"
TIMEOUT = "timeout accuracy"
RECONNECT = "reconnect"
HEARTBEAT = "heartbeat"
STORE = "store operation"
MAILBOX = "mailbox"
SWEEP = "sweep of 100,000 stale objects"

ASKED = {
    NEXT_TASK: "p99 < 1 s",
    RELEASE_100: "p99 < 5 s",
    RELEASE_10_000: "",
    BLOCKED: "< 100 MB per 1,000",
    RESTART: "recovers",
    DEATH: "< 2 min",
    TIMEOUT: "99 %",
    RECONNECT: "< 10 s",
    HEARTBEAT: "< 1 % CPU",
    STORE: "< 10 ms",
    MAILBOX: "> 100 /s",
    SWEEP: "",
}
"""What the plan asked for, by goal, in the order in which they are told."""

ELSEWHERE = """\
One goal is no figure of these: *delivery*, every signal counted with kills and restarts of the store. That is
`python -m benchmarks.delivery`, see [delivery.md](delivery.md).
"""

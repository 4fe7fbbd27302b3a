"""Background jobs on Apache Kafka: ordered by key, retried, dead-lettered, observable."""

from .app import App, default_app
from .context import Context, Fence, current
from .core.concurrency import Concurrency
from .core.deferred import Verdict
from .core.isolation import Isolation
from .core.policy import Backoff
from .core.verdict import DeadLetter, Discard, Retry, Snooze
from .errors import (
    ArgumentError,
    BatchError,
    BrokerError,
    CallTooLarge,
    CheckpointError,
    CheckpointFailed,
    CheckpointRefused,
    CheckpointTooLarge,
    ConfigError,
    DeclarationError,
    EnqueueError,
    EnqueueRefused,
    KjobsError,
    NoCurrentCall,
    OutcomeUnknown,
    QueueFull,
    UnknownJob,
    UnknownQueue,
)
from .handle import Handle
from .job import Job, args

__version__ = "0.1.0"

#: Declares a job of the default app; see :meth:`kjobs.app.App.job`.
job = default_app.job

#: Sends the calls enqueued inside together; see :meth:`kjobs.app.App.batch`.
batch = default_app.batch

#: Sets settings of the default app in code; see :meth:`kjobs.app.App.configure`.
configure = default_app.configure

__all__ = [
    "App",
    "ArgumentError",
    "Backoff",
    "BatchError",
    "BrokerError",
    "CallTooLarge",
    "CheckpointError",
    "CheckpointFailed",
    "CheckpointRefused",
    "CheckpointTooLarge",
    "Concurrency",
    "ConfigError",
    "Context",
    "DeadLetter",
    "DeclarationError",
    "Discard",
    "EnqueueError",
    "EnqueueRefused",
    "Fence",
    "Handle",
    "Isolation",
    "Job",
    "KjobsError",
    "NoCurrentCall",
    "OutcomeUnknown",
    "QueueFull",
    "Retry",
    "Snooze",
    "UnknownJob",
    "UnknownQueue",
    "Verdict",
    "args",
    "batch",
    "configure",
    "current",
    "default_app",
    "job",
]

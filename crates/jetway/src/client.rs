//! A client: starts and controls runs, sends signals to them, and reads their status and results.
//!
//! ```no_run
//! use jetway::{Client, client::StartOptions};
//! use std::time::Duration;
//!
//! # async fn example() -> Result<(), jetway::client::ClientError> {
//! let client = Client::connect("nats://127.0.0.1:4222").await?;
//! let run = client.start("order", &4, &StartOptions::default()).await?;
//! let done = client.result(&run, Duration::from_secs(30)).await?;
//! if let Some(output) = &done.output {
//!     println!("{}: {output}, as a number {}", done.status, output.read::<u64>().unwrap_or_default());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Any NATS client can do the same: a start is a message, a result is a message, and the other operations are JSON
//! requests to the NATS micro service `jetway`.

mod connection;
mod error;
mod namespace;
mod options;
mod outputs;
mod repeat;
mod signals;
mod started;

pub use connection::Client;
pub use error::ClientError;
pub use jetway_engine::{
    Control,
    api::{
        ControlView, RetryQuery, RetryView, RunSummary, RunsView, SignalAnswer, UnreadableRun, WorkflowView,
    },
    backend::{HostInfo, RunsQuery},
};
pub use jetway_state::{
    StartId, StartMessage,
    json::Json,
    run::{CancelReason, DoneView, ErrorView, PendingView, Status, StatusView, UnreadablePart, Verdict},
    view::{BuildWaitView, CancelView, LeftOut, PersonWaitView, WaitKind, WaitView},
};
pub use namespace::{check_streams, obsolete_streams, set_up};
pub use options::StartOptions;
pub use signals::SignalOptions;
pub use started::{ResultOf, StartedRun};

//! Signals to runs.

use super::{
    Client, ClientError, SignalAnswer, StartOptions,
    connection::request as start_request,
    repeat::{perhaps_stored, signal_again, until_answered},
};
use bytes::Bytes;
use jetway_engine::{
    api::SignalRequest,
    backend::{Api, ApiError, NewSignal, Signals},
};
use jetway_nats::NO_HOST;
use jetway_state::{Incarnation, RunKey, SignalName, run::GIVEN_SIGNAL_ID};
use serde::Serialize;
use uuid::Uuid;

/// Options for a signal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignalOptions {
    /// The id of the signal; `None` for a random one. Two signals of a run with one id are one signal. An id that the caller can
    /// reproduce, such as the number of a payment, therefore makes a signal safe to repeat.
    pub id: Option<String>,
    /// The incarnation that the signal is for; `None` for whichever incarnation has the run id.
    pub incarnation: Option<Incarnation>,
}

impl SignalOptions {
    /// Options with this id.
    pub fn with_id(id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), incarnation: None }
    }

    fn id(&self) -> String {
        // It is remembered apart from the ids that senders have chosen.
        self.id.clone().unwrap_or_else(|| format!("{GIVEN_SIGNAL_ID}{}", Uuid::new_v4().simple()))
    }
}

impl Client {
    /// Sends a signal to a run, through a host. When this returns, the run has the signal: an item got it, or the run keeps it until
    /// an item waits for it. While hosts are busy or do not answer, the request is repeated for up to 30 seconds, which does not
    /// double the signal.
    ///
    /// ```no_run
    /// use jetway::{Client, client::SignalOptions};
    ///
    /// # async fn example(run: &jetway::RunKey) -> Result<(), jetway::client::ClientError> {
    /// let client = Client::connect("nats://127.0.0.1:4222").await?;
    /// let answer = client.signal(run, "approve", &true, &SignalOptions::with_id("approval-7")).await?;
    /// println!("{:?}", answer.verdict);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such run, or no running host serves its workflow. [`ClientError::Refused`] if the run
    /// has ended, or the payload is not what the run waits for. [`ClientError::NoHost`] if no host is running:
    /// [`publish_signal`](Self::publish_signal) works without a host.
    pub async fn signal<P>(
        &self,
        run: &RunKey,
        name: &str,
        payload: &P,
        options: &SignalOptions,
    ) -> Result<SignalAnswer, ClientError>
    where
        P: Serialize + ?Sized + Sync,
    {
        let id = options.id();
        let request = SignalRequest {
            workflow: run.workflow.to_string(),
            run_id: run.run_id.to_string(),
            name: SignalName::new(name)?.to_string(),
            // A repeated request is the same signal.
            id: Some(id.clone()),
            incarnation: options.incarnation,
            content_type: None,
            payload: encoded(payload)?,
        };
        let ask = || self.hosts.signal(request.clone());
        match until_answered(ask, || signal_again(name, &id)).await {
            Err(error) if error.code == NO_HOST => Err(self.unserved(run.workflow.as_str(), error).await),
            answer => Ok(answer?),
        }
    }

    /// Starts a run that has a signal from its begin, or sends the signal to the run that has the id, whatever its input was. There is no
    /// moment at which the run is there without its signal. While hosts are busy or do not answer, the request is repeated for up to 30
    /// seconds, which doubles neither of them. With a [time of the start](StartOptions::at), nothing starts before it.
    ///
    /// ```no_run
    /// use jetway::{Client, client::{SignalOptions, StartOptions}};
    ///
    /// # async fn example() -> anyhow::Result<()> {
    /// let client = Client::connect("nats://127.0.0.1:4222").await?;
    /// // The first item that somebody puts into the basket opens it.
    /// let (basket, item) = (StartOptions::named("basket-7".parse()?), SignalOptions::with_id("item-1"));
    /// let answer = client.signal_with_start("basket", &"Ada", &basket, ("add", &"a book"), &item).await?;
    /// println!("{} {}", answer.run_id, if answer.started { "is opened" } else { "was open" });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`start`](Self::start), apart from another input, and those of [`signal`](Self::signal): a run that has ended takes no
    /// signal. An incarnation in the options of the signal has no meaning here, and is refused.
    pub async fn signal_with_start<I, P>(
        &self,
        workflow: &str,
        input: &I,
        start: &StartOptions,
        (name, payload): (&str, &P),
        options: &SignalOptions,
    ) -> Result<SignalAnswer, ClientError>
    where
        I: Serialize + ?Sized + Sync,
        P: Serialize + ?Sized + Sync,
    {
        if options.incarnation.is_some() {
            let message = "a signal that may start its run is for no incarnation: leave it out".to_owned();
            return Err(ApiError::new(400, message).into());
        }
        let (run, start) = start_request(workflow, input, start)?;
        let id = options.id();
        let signal = SignalRequest {
            workflow: run.workflow.to_string(),
            run_id: run.run_id.to_string(),
            name: SignalName::new(name)?.to_string(),
            // A repeated request is the same signal.
            id: Some(id.clone()),
            incarnation: None,
            content_type: None,
            payload: encoded(payload)?,
        };
        let ask = || self.hosts.signal_with_start(start.clone(), signal.clone());
        match until_answered(ask, || signal_again(name, &id)).await {
            Err(error) if error.code == NO_HOST => Err(self.unserved(run.workflow.as_str(), error).await),
            answer => Ok(answer?),
        }
    }

    /// Publishes a signal as a message, as any NATS client can. When this returns, the server has stored it, and a host that serves
    /// the workflow applies it. A run that does not exist has a minute to be started. A signal that cannot be applied becomes a dead
    /// letter.
    ///
    /// # Errors
    /// An invalid name, a payload that cannot be encoded as JSON, or a server that does not accept the message.
    pub async fn publish_signal<P>(
        &self,
        run: &RunKey,
        name: &str,
        payload: &P,
        options: &SignalOptions,
    ) -> Result<(), ClientError>
    where
        P: Serialize + ?Sized + Sync,
    {
        let id = options.id();
        let signal = NewSignal {
            run: run.clone(),
            name: SignalName::new(name)?.to_string(),
            id: Some(id.clone()),
            incarnation: options.incarnation,
            content_type: None,
            payload: encoded(payload)?,
        };
        let stored = self.backend.publish_signal(&signal).await;
        stored.map(drop).map_err(|error| perhaps_stored(error, || signal_again(name, &id)))
    }
}

fn encoded<P: Serialize + ?Sized>(payload: &P) -> Result<Bytes, ClientError> {
    Ok(Bytes::from(serde_json::to_vec(payload).map_err(ClientError::Payload)?))
}

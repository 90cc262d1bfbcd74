//! Nodes that wait for signals: [`WaitForSignal`] and [`Approval`].

use crate::{
    Context, Node, Transition,
    signal::{Answer, SignalType},
    step::step,
    wait_for::WaitFor,
};
use async_trait::async_trait;
use jetway_state::Error;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, marker::PhantomData, time::Duration};

/// Waits for a signal and passes its payload on, together with the input. The run waits without a worker, a slot or a lease.
///
/// See [`SignalSender`](crate::SignalSender) for an example.
pub struct WaitForSignal<I, T> {
    name: String,
    within: Option<Duration>,
    types: PhantomData<fn(I) -> T>,
}

/// The output of [`WaitForSignal`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answered<I, T> {
    /// The input of the node.
    pub input: I,
    /// The payload of the signal; `None` if the deadline has passed.
    pub answer: Option<T>,
}

impl<I, T> WaitForSignal<I, T> {
    /// A node that waits for a signal of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), within: None, types: PhantomData }
    }

    /// With a deadline, which counts from the time at which the node is ready.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        Self { within: Some(deadline), ..self }
    }
}

impl<I, T> Clone for WaitForSignal<I, T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), within: self.within, types: PhantomData }
    }
}

impl<I, T> fmt::Debug for WaitForSignal<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForSignal").field("name", &self.name).field("within", &self.within).finish()
    }
}

#[async_trait]
impl<C, I, T> Node<C> for WaitForSignal<I, T>
where
    C: Context,
    I: Send + Sync + 'static,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Input = I;
    type Output = Answered<I, T>;

    async fn process(&self, _ctx: &C, input: I) -> Result<Transition<Self::Output>, Error> {
        let answer = match answered(&self.name, self.within)? {
            Ok(answer) => answer,
            Err(wait) => return Ok(Transition::WaitFor(wait)),
        };
        Ok(Transition::Next(Answered { input, answer }))
    }

    fn signals(&self) -> Vec<SignalType> {
        vec![SignalType::of::<T>(&self.name)]
    }
}

/// The payload of the signal that the node has waited for, or the wait that is to come.
fn answered<T: DeserializeOwned>(
    name: &str,
    within: Option<Duration>,
) -> Result<Result<Option<T>, WaitFor>, Error> {
    let answer = step().and_then(|step| step.answer());
    Ok(match answer {
        Some(Answer::DeadlinePassed) => Ok(None),
        Some(answer) => Ok(answer.signal(name).map(|signal| signal.payload()).transpose()?),
        None => {
            let wait = WaitFor::signal(name);
            Err(match within {
                Some(deadline) => wait.within(deadline),
                None => wait,
            })
        }
    })
}

/// Waits until somebody says yes or no, and passes its input on in a [`Decision`].
///
/// It waits for the signal `approval` with the payload `{"yes": true}` or `{"yes": false}`, which may have more fields. Another name is
/// needed where a workflow asks two people for different things.
///
/// ```
/// use jetway_core::{Approval, Decision, SignalSender, Transition, Workflow, WorkflowCtx};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::{node, workflow};
/// use serde_json::json;
/// use std::time::Duration;
///
/// node! { pub struct Ship; input = u32; output = String; |_, order| Ok(Transition::Next(format!("order {order} is shipped"))) }
/// node! { pub struct Refund; input = u32; output = String; |_, order| Ok(Transition::Next(format!("order {order} is refunded"))) }
/// workflow! {
///     pub struct Order { approve: Approval<u32>, ship: Ship, refund: Refund }
///     start = approve;
///     edges {
///         approve => { Decision::Yes(order) => [ship]; Decision::No(order) => [refund]; Decision::Expired(order) => [refund]; };
///         ship => []; refund => [];
///     }
/// }
///
/// # fn main() {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
/// let order = Order { approve: Approval::new().within(Duration::from_hours(72)), ship: Ship, refund: Refund };
/// let sender = SignalSender::new(Workflow::<()>::signals(&order));
/// let ctx = WorkflowCtx::new(()).with_signals(&sender);
/// sender.send("approval", &json!({ "yes": true, "by": "Ada" })).expect("it says yes");
/// assert_eq!(order.run(&ctx, 7).await, Ok("order 7 is shipped".to_owned()));
/// # });
/// # }
/// ```
pub struct Approval<I> {
    name: String,
    within: Option<Duration>,
    input: PhantomData<fn(I) -> I>,
}

/// The output of [`Approval`]: its input, and what was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision<I> {
    /// Somebody said yes.
    Yes(I),
    /// Somebody said no.
    No(I),
    /// Nobody said anything until the deadline.
    Expired(I),
}

/// The payload of the signal that [`Approval`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct YesOrNo {
    /// The decision.
    pub yes: bool,
}

impl<I> Approval<I> {
    /// A node that waits for the signal `approval`.
    pub fn new() -> Self {
        Self::named("approval")
    }

    /// A node that waits for a signal of another name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), within: None, input: PhantomData }
    }

    /// With a deadline, which counts from the time at which the node is ready.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        Self { within: Some(deadline), ..self }
    }
}

impl<I> Default for Approval<I> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I> Clone for Approval<I> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), within: self.within, input: PhantomData }
    }
}

impl<I> fmt::Debug for Approval<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Approval").field("name", &self.name).field("within", &self.within).finish()
    }
}

#[async_trait]
impl<C: Context, I: Send + Sync + 'static> Node<C> for Approval<I> {
    type Input = I;
    type Output = Decision<I>;

    async fn process(&self, _ctx: &C, input: I) -> Result<Transition<Self::Output>, Error> {
        Ok(match answered::<YesOrNo>(&self.name, self.within)? {
            Err(wait) => Transition::WaitFor(wait),
            Ok(None) => Transition::Next(Decision::Expired(input)),
            Ok(Some(YesOrNo { yes: true })) => Transition::Next(Decision::Yes(input)),
            Ok(Some(YesOrNo { yes: false })) => Transition::Next(Decision::No(input)),
        })
    }

    fn signals(&self) -> Vec<SignalType> {
        vec![SignalType::of::<YesOrNo>(&self.name)]
    }
}

//! [`ChildOrSignal`]: a node that waits for a child run, for signals and for a deadline, whichever comes first.

use super::options::Children;
use crate::{
    Context, Merge, Node, Transition, Workflow,
    clock::{Clock, SystemClock, within},
    signal::{Answer, SignalType},
    step::{ChildNews, ChildRequest, ChildSlot, StepScope, step},
    wait_for::WaitFor,
};
use async_trait::async_trait;
use jetway_state::{Error, Graph, run::MAX_WAIT};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

/// Starts another run, and waits for its end, for a signal with a payload of type `T`, or for a deadline: the first that comes settles the
/// wait. See [`ChildRun::or_signal`](super::ChildRun::or_signal).
pub struct ChildOrSignal<C, W, T> {
    children: Children<C, W>,
    names: Vec<String>,
    deadline: Option<Duration>,
    payload: PhantomData<fn() -> T>,
}

/// The output of [`ChildOrSignal`]: what has come first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FirstOf<O, T> {
    /// The output of the child run.
    Child(O),
    /// The payload of a signal.
    Signal(T),
    /// Neither of them until the deadline.
    DeadlinePassed,
}

impl<C, W, T> ChildOrSignal<C, W, T> {
    pub(super) fn new(children: Children<C, W>, name: String) -> Self {
        Self { children, names: vec![name], deadline: None, payload: PhantomData }
    }

    /// Also waits for signals of this name, with a payload of the same type.
    #[must_use]
    pub fn or_signal(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// With a deadline, which counts from the end of the attempt that asks for the child. It is never early. 100 years is the most: more
    /// fails the step with [`Error::TimeOutOfRange`].
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    fn wait(&self, deadline: Option<Duration>) -> WaitFor {
        let wait = WaitFor::first_of(self.names.iter().cloned());
        match deadline {
            Some(deadline) => wait.within(deadline),
            None => wait,
        }
    }
}

impl<C, W, T> ChildOrSignal<C, W, T>
where
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
    T: DeserializeOwned,
{
    /// The first that has come, or the request for the child run.
    fn on_host(
        &self,
        step: &StepScope,
        slot: &ChildSlot,
        input: W::Input,
    ) -> Result<Transition<FirstOf<W::Output, T>>, Error> {
        if let ChildNews::Ended(ended) = slot.news() {
            return match ended {
                Ok(output) => Ok(Transition::Next(FirstOf::Child(output.read()?))),
                Err(error) => {
                    // Another attempt would find the same.
                    step.refuse_retries();
                    Err(error.clone().into_error(self.children.within))
                }
            };
        }
        if let Some(answer) = step.answer() {
            return self.answered(&answer).map(Transition::Next);
        }
        if self.deadline.is_some_and(|deadline| deadline > MAX_WAIT) {
            return Err(Error::TimeOutOfRange);
        }
        let spec = self.children.spec(self.children.id(step, &input, None)?, input)?;
        slot.request(ChildRequest::One(spec.or(self.wait(self.deadline).wanted())));
        Ok(Transition::Hold)
    }

    fn answered<O>(&self, answer: &Answer) -> Result<FirstOf<O, T>, Error> {
        match answer {
            Answer::Signals(signals) => match signals.first() {
                Some(signal) => signal.payload().map(FirstOf::Signal),
                None => Ok(FirstOf::DeadlinePassed),
            },
            Answer::DeadlinePassed => Ok(FirstOf::DeadlinePassed),
        }
    }

    /// Without a host, the run is part of the step. Nobody takes signals while a step runs: one that is there when it begins comes first.
    async fn run_here(
        &self,
        step: Option<&StepScope>,
        input: W::Input,
    ) -> Result<Transition<FirstOf<W::Output, T>>, Error> {
        match step.map(StepScope::answer) {
            Some(None) => return Ok(Transition::WaitFor(self.wait(Some(Duration::ZERO)))),
            Some(Some(answer @ Answer::Signals(_))) => return self.answered(&answer).map(Transition::Next),
            Some(Some(Answer::DeadlinePassed)) | None => {}
        }
        let run = self.children.run_here(step, input);
        let Some(deadline) = self.deadline else { return Ok(Transition::Next(FirstOf::Child(run.await?))) };
        let clock = step.map_or_else(|| Arc::new(SystemClock) as Arc<dyn Clock>, StepScope::clock);
        Ok(Transition::Next(match within(&*clock, deadline, run).await {
            Some(output) => FirstOf::Child(output?),
            None => FirstOf::DeadlinePassed,
        }))
    }
}

#[async_trait]
impl<P, C, W, T> Node<P> for ChildOrSignal<C, W, T>
where
    P: Context,
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Input = W::Input;
    type Output = FirstOf<W::Output, T>;

    async fn process(&self, _ctx: &P, input: W::Input) -> Result<Transition<Self::Output>, Error> {
        let step = step();
        match step.as_ref().and_then(|step| Some((step, step.child()?))) {
            Some((step, slot)) => self.on_host(step, slot, input),
            None => self.run_here(step.as_deref(), input).await,
        }
    }

    fn nested(&self) -> Option<Graph> {
        Some(self.children.workflow.graph())
    }

    fn signals(&self) -> Vec<SignalType> {
        self.names.iter().map(SignalType::of::<T>).collect()
    }
}

impl<C, W: Clone, T> Clone for ChildOrSignal<C, W, T> {
    fn clone(&self) -> Self {
        let Self { children, names, deadline, payload } = self;
        Self { children: children.clone(), names: names.clone(), deadline: *deadline, payload: *payload }
    }
}

impl<C, W: fmt::Debug, T> fmt::Debug for ChildOrSignal<C, W, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildOrSignal")
            .field("child", &self.children)
            .field("signals", &self.names)
            .field("within", &self.deadline)
            .finish()
    }
}

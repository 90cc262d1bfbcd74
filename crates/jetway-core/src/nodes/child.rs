//! The nodes that start other runs: [`ChildRun`] waits for the result, [`ChildOrSignal`] for a signal or a deadline as well, [`ChildRuns`]
//! for many of them, [`DetachedRun`] for none.

mod detached;
mod first;
mod many;
mod options;

pub use detached::DetachedRun;
pub use first::{ChildOrSignal, FirstOf};
pub use many::ChildRuns;

use crate::{
    Context, Merge, Node, Transition, Workflow,
    step::{ChildNews, ChildRequest, step},
};
use async_trait::async_trait;
use jetway_state::{Error, Graph, run::OnParentCancel};
use options::Children;
use std::time::Duration;

/// Starts another run and returns its output when that run has ended.
///
/// On hosts the child is a run with its own run id, snapshot and context, which starts as `C::default()`. Its span is a
/// child of the step's span.
///
/// - While the step waits it holds no worker, no slot and no ticket.
/// - A host must serve the child's workflow.
/// - A child that fails fails the step, so an `on_failure` edge can handle it. The step is not tried again: its child has ended.
/// - When the parent ends, a child that still runs is cancelled, or follows another [policy](Self::on_parent_cancel).
/// - Each child that is waited for takes space in the parent's snapshot. Limit a fan-out over thousands with `#[at_most]`, or use
///   [`start_many`](Self::start_many).
/// - The result of a child expires as other results do. If the parent is paused for longer, the step fails.
///
/// Within one process (see [`Workflow::run`]) the child runs inside of the step, as in a
/// [`CompositeNode`](crate::CompositeNode), but with its own context.
///
/// ```
/// use jetway_core::{ChildRun, Error, Transition, Workflow, WorkflowCtx};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::{node, workflow};
///
/// node! { pub struct Double; input = u64; output = u64; |_, x| Ok(Transition::Next(x * 2)) }
/// workflow! { pub struct Doubling { double: Double } name = "doubling"; start = double; edges { double => []; } }
/// workflow! {
///     pub struct Twice { child: ChildRun<(), Doubling>, again: Double }
///     start = child;
///     edges { child => [again]; again => []; }
/// }
///
/// # fn main() {
/// let twice = Twice { child: ChildRun::new(Doubling { double: Double }), again: Double };
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// assert_eq!(runtime.block_on(twice.run(&WorkflowCtx::new(()), 3)), Ok(12));
/// # }
/// ```
#[derive(Debug)]
pub struct ChildRun<C, W>(Children<C, W>);

impl<C, W> ChildRun<C, W> {
    /// A node that runs `workflow` as a child run.
    pub fn new(workflow: W) -> Self {
        Self(Children::of(workflow))
    }

    /// What becomes of the child when its parent is cancelled, or ends for another reason before the child does. The default is
    /// [`Cancel`](OnParentCancel::Cancel).
    #[must_use]
    pub fn on_parent_cancel(self, policy: OnParentCancel) -> Self {
        Self(Children { on_cancel: policy, ..self.0 })
    }

    /// How long the step waits for the child, which counts from the end of the attempt that asks for it. Then the step fails with
    /// [`Error::Timeout`], and the child is cancelled. 100 years is the most: more fails the step with [`Error::TimeOutOfRange`].
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        Self(Children { within: Some(limit), ..self.0 })
    }

    /// A node that waits for the child, and for a signal of this name with a payload of type `T`, and for a
    /// [deadline](ChildOrSignal::within). Its output is what comes first: [`FirstOf`].
    ///
    /// A child that comes second follows its [policy](Self::on_parent_cancel): it is cancelled, or goes on alone. A signal that comes
    /// second is in the mailbox of the run. A [timeout](Self::timeout) still fails the step.
    ///
    /// Within one process the child is part of the step, so a signal comes first only if it is there when the step begins.
    ///
    /// ```
    /// use jetway_core::{ChildRun, Error, FirstOf, SignalSender, Transition, Workflow, WorkflowCtx};
    /// # extern crate jetway_core as jetway;
    /// # use jetway_macros::{node, workflow};
    /// use std::time::Duration;
    ///
    /// node! { pub struct Pack; input = u64; output = String; |_, order| Ok(Transition::Next(format!("order {order} is packed"))) }
    /// workflow! { pub struct Packing { pack: Pack } name = "packing"; start = pack; edges { pack => []; } }
    /// workflow! {
    ///     pub struct Order { packed: jetway::ChildOrSignal<(), Packing, String> }
    ///     start = packed;
    ///     edges { packed => []; }
    /// }
    ///
    /// # fn main() {
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
    /// let packing = ChildRun::new(Packing { pack: Pack });
    /// let order = Order { packed: packing.or_signal("cancelled").within(Duration::from_hours(24)) };
    /// let sender = SignalSender::new(Workflow::<()>::signals(&order));
    /// let ctx = WorkflowCtx::new(()).with_signals(&sender);
    /// assert_eq!(order.run(&ctx, 7).await, Ok(FirstOf::Child("order 7 is packed".to_owned())));
    /// sender.send("cancelled", &"too late").expect("it is a text");
    /// assert_eq!(order.run(&ctx, 8).await, Ok(FirstOf::Signal("too late".to_owned())));
    /// # });
    /// # }
    /// ```
    #[must_use]
    pub fn or_signal<T>(self, name: impl Into<String>) -> ChildOrSignal<C, W, T> {
        ChildOrSignal::new(self.0, name.into())
    }

    /// A node that starts the run and does not wait for it: it returns the key of the run at once.
    ///
    /// The run is started when the step is committed, and only then, also if the host dies in between, and if it is the last step of
    /// its run. It goes on whatever becomes of its parent. A policy and a timeout have no meaning for it.
    ///
    /// ```
    /// use jetway_core::{ChildRun, Error, RunKey, Transition, Workflow, WorkflowCtx};
    /// # extern crate jetway_core as jetway;
    /// # use jetway_macros::{node, workflow};
    ///
    /// node! { pub struct Mail; input = u64; output = (); |_, _order| Ok(Transition::Next(())) }
    /// workflow! { pub struct Mailing { mail: Mail } name = "mailing"; start = mail; edges { mail => []; } }
    /// workflow! {
    ///     pub struct Order { tell: jetway::DetachedRun<(), Mailing> }
    ///     start = tell;
    ///     edges { tell => []; }
    /// }
    ///
    /// # fn main() {
    /// let tell = ChildRun::new(Mailing { mail: Mail }).named(|order| format!("mail-{order}")).detached();
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    /// let run: RunKey = runtime.block_on(Order { tell }.run(&WorkflowCtx::new(()), 7)).expect("it completes");
    /// assert_eq!(run.to_string(), "mailing/mail-7");
    /// # }
    /// ```
    #[must_use]
    pub fn detached(self) -> DetachedRun<C, W> {
        DetachedRun(self.0)
    }

    /// A node that starts one run for each of its inputs, of which at most `bound` run at once (1 to 100), and waits for all of them. It
    /// returns a list of results in the order of the inputs: a child that fails is an `Err` with the reason.
    ///
    /// The parent holds no worker, slot or ticket meanwhile. A [timeout](Self::timeout) is that of each child, from its start.
    ///
    /// ```
    /// use jetway_core::{ChildRun, Error, Transition, Workflow, WorkflowCtx};
    /// # extern crate jetway_core as jetway;
    /// # use jetway_macros::{node, workflow};
    ///
    /// node! {
    ///     pub struct Half;
    ///     input = u64;
    ///     output = u64;
    ///     |_, x| if x % 2 == 0 { Ok(Transition::Next(x / 2)) } else { Err(Error::Generic(format!("{x} is odd"))) }
    /// }
    /// workflow! { pub struct Halving { half: Half } name = "halving"; start = half; edges { half => []; } }
    /// workflow! {
    ///     pub struct All { halves: jetway::ChildRuns<(), Halving> }
    ///     start = halves;
    ///     edges { halves => []; }
    /// }
    ///
    /// # fn main() {
    /// let all = All { halves: ChildRun::new(Halving { half: Half }).start_many(2) };
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    /// let results = runtime.block_on(all.run(&WorkflowCtx::new(()), vec![4, 3, 8])).expect("it completes");
    /// assert_eq!((results[0].clone(), results[2].clone()), (Ok(2), Ok(4)));
    /// assert!(results[1].as_ref().is_err_and(|reason| reason.contains("3 is odd")));
    /// # }
    /// ```
    #[must_use]
    pub fn start_many(self, bound: usize) -> ChildRuns<C, W> {
        ChildRuns { children: self.0, bound, fail_fast: false }
    }
}

impl<C, W> ChildRun<C, W>
where
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    /// Chooses the run id for an input. Without that, it is derived from the step. If another run has the id, the step fails; a
    /// [detached](Self::detached) run joins a run with the same id and input.
    #[must_use]
    pub fn named(self, name: impl Fn(&W::Input) -> String + Send + Sync + 'static) -> Self {
        Self(self.0.named_by(name))
    }
}

#[async_trait]
impl<P, C, W> Node<P> for ChildRun<C, W>
where
    P: Context,
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    type Input = W::Input;
    type Output = W::Output;

    async fn process(&self, _ctx: &P, input: W::Input) -> Result<Transition<W::Output>, Error> {
        let step = step();
        let Some((step, slot)) = step.as_ref().and_then(|step| Some((step, step.child()?))) else {
            return self.0.run_here(step.as_deref(), input).await.map(Transition::Next);
        };
        match slot.news() {
            ChildNews::Ended(Ok(output)) => Ok(Transition::Next(output.read()?)),
            ChildNews::Ended(Err(error)) => {
                // Another attempt would find the same.
                step.refuse_retries();
                Err(error.clone().into_error(self.0.within))
            }
            _ => {
                let spec = self.0.spec(self.0.id(step, &input, None)?, input)?;
                slot.request(ChildRequest::One(spec));
                Ok(Transition::Hold)
            }
        }
    }

    fn nested(&self) -> Option<Graph> {
        Some(self.0.workflow.graph())
    }
}

impl<C, W: Clone> Clone for ChildRun<C, W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

//! [`ChildRuns`]: a node that starts many runs and waits for all of them.

use super::options::Children;
use crate::{
    Context, Merge, Node, Transition, Workflow,
    step::{ChildNews, ChildRequest, ChildResult, ChildSlot, ManySpec, StepScope, step},
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use jetway_state::{Error, Graph, RunId};
use std::{collections::BTreeSet, sync::Arc};

/// The most child runs that one step waits for at once.
const MAX_AT_ONCE: usize = 100;

/// Starts a run for each of its inputs, and returns their outputs in the order of the inputs. See
/// [`ChildRun::start_many`](super::ChildRun::start_many).
#[derive(Debug)]
pub struct ChildRuns<C, W> {
    pub(super) children: Children<C, W>,
    pub(super) bound: usize,
    pub(super) fail_fast: bool,
}

impl<C, W> ChildRuns<C, W> {
    /// The first child run that fails fails the step, and the others are cancelled, unless their
    /// [policy](super::ChildRun::on_parent_cancel) is another one. Without failure, every result is `Ok`.
    #[must_use]
    pub fn fail_fast(self) -> Self {
        Self { fail_fast: true, ..self }
    }

    fn bound(&self) -> usize {
        self.bound.clamp(1, MAX_AT_ONCE)
    }
}

#[async_trait]
impl<P, C, W> Node<P> for ChildRuns<C, W>
where
    P: Context,
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    type Input = Vec<W::Input>;
    type Output = Vec<Result<W::Output, String>>;

    async fn process(&self, _ctx: &P, inputs: Vec<W::Input>) -> Result<Transition<Self::Output>, Error> {
        let step = step();
        let Some((step, slot)) = step.as_ref().and_then(|step| Some((step, step.child()?))) else {
            return self.run_here(step, inputs).await.map(Transition::Next);
        };
        match slot.news() {
            ChildNews::AllEnded(results) => self.results(results.clone()).map(Transition::Next),
            ChildNews::OneFailed(error) => {
                step.refuse_retries();
                Err(error.clone().into_error(self.children.within))
            }
            ChildNews::Wanted(positions) => self.request(step, slot, inputs, positions),
            ChildNews::None | ChildNews::Ended(_) if inputs.is_empty() => Ok(Transition::Next(Vec::new())),
            ChildNews::None | ChildNews::Ended(_) => {
                self.check_names(step, &inputs)?;
                let first: Vec<u32> = (0_u32..).take(self.bound().min(inputs.len())).collect();
                self.request(step, slot, inputs, &first)
            }
        }
    }

    fn nested(&self) -> Option<Graph> {
        Some(self.children.workflow.graph())
    }
}

impl<C, W> ChildRuns<C, W>
where
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    /// Requests the child runs at these positions, which grow.
    fn request<O>(
        &self,
        step: &StepScope,
        slot: &ChildSlot,
        inputs: Vec<W::Input>,
        positions: &[u32],
    ) -> Result<Transition<O>, Error> {
        let count = u32::try_from(inputs.len()).map_err(|_too_many| {
            Error::Limit(format!("{} child runs are too many for one step", inputs.len()))
        })?;
        let wanted: BTreeSet<u32> = positions.iter().copied().collect();
        let chosen = (0_u32..).zip(inputs).filter(|(position, _)| wanted.contains(position));
        let named = chosen.map(|(position, input)| {
            let id = self.children.id(step, &input, Some(position))?;
            Ok((position, self.children.spec(id, input)?))
        });
        let named = named.collect::<Result<_, Error>>()?;
        let bound = u32::try_from(self.bound()).unwrap_or(u32::MAX);
        slot.request(ChildRequest::Many(ManySpec { count, bound, fail_fast: self.fail_fast, named }));
        Ok(Transition::Hold)
    }

    /// Two inputs with one run id would be one run.
    fn check_names(&self, step: &StepScope, inputs: &[W::Input]) -> Result<(), Error> {
        if self.children.name_of.is_none() {
            return Ok(());
        }
        let mut names: BTreeSet<RunId> = BTreeSet::new();
        for input in inputs {
            let id = self.children.id(step, input, None)?;
            if !names.insert(id.clone()) {
                return Err(Error::Terminal(format!("two child runs of one step have the run id {id}")));
            }
        }
        Ok(())
    }

    fn results(&self, results: Vec<ChildResult>) -> Result<Vec<Result<W::Output, String>>, Error> {
        let read = |result: ChildResult| match result {
            Ok(output) => output.read().map(Ok),
            Err(error) => Ok(Err(error.into_error(self.children.within).to_string())),
        };
        results.into_iter().map(read).collect()
    }

    /// Runs the workflows within the step, where there is no host.
    async fn run_here(
        &self,
        step: Option<Arc<StepScope>>,
        inputs: Vec<W::Input>,
    ) -> Result<Vec<Result<W::Output, String>>, Error> {
        // Collected first: a lazy iterator in the stream would make this future not `Send`.
        let runs: Vec<_> =
            inputs.into_iter().map(|input| self.children.run_here(step.as_deref(), input)).collect();
        let mut running = stream::iter(runs).buffered(self.bound());
        let mut results = Vec::new();
        while let Some(result) = running.next().await {
            match result {
                Err(error) if self.fail_fast => return Err(error),
                result => results.push(result.map_err(|error| error.to_string())),
            }
        }
        Ok(results)
    }
}

impl<C, W: Clone> Clone for ChildRuns<C, W> {
    fn clone(&self) -> Self {
        let Self { children, bound, fail_fast } = self;
        Self { children: children.clone(), bound: *bound, fail_fast: *fail_fast }
    }
}

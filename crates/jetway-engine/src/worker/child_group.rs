//! Items that wait for many child runs.

use super::{
    child::Awaited,
    session::{NextAction, PendingAttempt, TicketSession},
};
use crate::{
    backend::{BackendError, BackendErrorKind},
    fail_point::{FailPoint, fail_point},
    inputs::load_arrivals,
    snapshots::{CachedSnapshot, CommitOutcome, CommitResult},
    starts::{NewChild, StartError},
};
use futures::future::join_all;
use jetway_core::step::{ChildError, ChildNews, ChildResult};
use jetway_state::{
    Seen, codec,
    run::{
        AttemptId, Child, ChildGroup, Effect, EncodedOutcome, EndedChild, EndedSpan, ManyWanted, TicketFor,
    },
};

/// How many child runs are started, or looked at, at the same time.
const AT_ONCE: usize = 16;

/// What a result of a child run is called in errors.
const RESULT: &str = "the result of a child run";

/// The child runs of a group that have ended and that the record does not know of.
#[derive(Default)]
struct Ended {
    results: Vec<(u32, ChildResult)>,
    span: Option<EndedSpan>,
}

impl TicketSession<'_> {
    /// Looks at the child runs of a group. Returns what to do if the node has nothing to do yet.
    pub(super) async fn awaited_group(
        &mut self,
        next: &PendingAttempt,
        node: &str,
    ) -> Result<Result<Awaited, NextAction>, BackendError> {
        let snapshot = &next.cached.snapshot;
        let Some(group) = snapshot.child_groups.get(&next.item) else { return Ok(Ok(Awaited::default())) };
        let waiting = snapshot.started_children(&next.item);
        let is_cancelled = snapshot.is_cancelled(&next.item);
        if is_cancelled && waiting.is_empty() {
            return Ok(Ok(Awaited::default()));
        }
        let Ended { results, span } = self.ended_children(next, group).await?;
        if is_cancelled {
            let all = results.len() == waiting.len();
            return Ok(if all {
                Ok(Awaited::default())
            } else {
                Err(NextAction::Park(next.item.clone(), waiting))
            });
        }
        let failed = results.iter().find_map(|(_, result)| result.as_ref().err());
        if let Some(error) = failed.filter(|_| group.fail_fast) {
            let news = ChildNews::OneFailed(error.clone());
            return Ok(Ok(Awaited { news, span, ended: Vec::new() }));
        }
        if group.is_complete(results.len()) {
            let news = ChildNews::AllEnded(self.all_results(next, group, results).await?);
            return Ok(Ok(Awaited { news, span, ended: Vec::new() }));
        }
        let wanted = group.to_start(results.len());
        let ended = encoded(results)?;
        if !wanted.is_empty() {
            return Ok(Ok(Awaited { news: ChildNews::Wanted(wanted), span, ended }));
        }
        if ended.is_empty() {
            return Ok(Err(NextAction::Park(next.item.clone(), waiting)));
        }
        self.keep_results(next, node, group, ended).await.map(Err)
    }

    /// The open child runs that have ended, or are late.
    async fn ended_children(&self, next: &PendingAttempt, group: &ChildGroup) -> Result<Ended, BackendError> {
        let started: Vec<(u32, &Child, Seen)> =
            group.open.iter().filter_map(|(at, child)| Some((*at, child, child.started?))).collect();
        let mut ended = Ended::default();
        for some in started.chunks(AT_ONCE) {
            let ends = some.iter().map(|(_, child, seen)| {
                self.end_of_child(next, &child.run, self.child_seen(&next.item, *seen))
            });
            for ((position, child, _), end) in some.iter().zip(join_all(ends).await) {
                match end? {
                    Some(end) => {
                        ended.span = ended.span.max_by_end(end.span);
                        ended.results.push((*position, end.result));
                    }
                    None if child.is_late(self.now()) => {
                        ended.results.push((*position, Err(ChildError::Late)));
                    }
                    None => {}
                }
            }
        }
        Ok(ended)
    }

    /// The results of all child runs of a group, by position.
    async fn all_results(
        &self,
        next: &PendingAttempt,
        group: &ChildGroup,
        mut results: Vec<(u32, ChildResult)>,
    ) -> Result<Vec<ChildResult>, BackendError> {
        let (snapshots, snapshot) = (&self.worker.snapshots, &next.cached.snapshot);
        let known = self.retry(|| load_arrivals(snapshots, self.run, snapshot, &group.ended)).await?;
        for arrival in known {
            let result = codec::decode(&arrival.payload, RESULT).map_err(|error| corrupt(&error))?;
            results.push((arrival.position, result));
        }
        results.sort_by_key(|(position, _)| *position);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    /// Commits the results of child runs, where no others are to be started.
    async fn keep_results(
        &mut self,
        next: &PendingAttempt,
        node: &str,
        group: &ChildGroup,
        ended: Vec<EndedChild>,
    ) -> Result<NextAction, BackendError> {
        let ChildGroup { count, bound, fail_fast, .. } = *group;
        let wanted = ManyWanted { count, bound, fail_fast, named: Vec::new(), ended };
        let committed =
            self.commit_of_group(next, node, EncodedOutcome::AwaitMany(wanted), &next.cached).await?;
        let CommitResult { outcome, cached } = committed;
        if let CommitOutcome::Committed(tickets, effects) = outcome {
            self.worker.dispatcher.carry_out(self.version(&cached), tickets, effects).await?;
        }
        Ok(NextAction::Attempt(PendingAttempt {
            item: next.item.clone(),
            attempt: next.attempt,
            uncounted: next.uncounted,
            queue_wait: None,
            cached,
        }))
    }

    async fn commit_of_group(
        &self,
        next: &PendingAttempt,
        node: &str,
        produced: EncodedOutcome,
        cached: &CachedSnapshot,
    ) -> Result<CommitResult, BackendError> {
        let (incarnation, item) = (cached.snapshot.incarnation, next.item.clone());
        let id = AttemptId { incarnation, item, node: node.to_owned(), number: next.attempt };
        let report = id.report(self.ticket_item().clone(), self.worker.clock.now(), produced, None);
        self.commit(report, None, cached).await
    }

    /// The record names the child runs of a group: starts those that it does not know to be started, then commits that they are. One
    /// that cannot be started has failed.
    pub(super) async fn start_children(
        &mut self,
        next: PendingAttempt,
        cached: CachedSnapshot,
        tickets: Vec<TicketFor>,
        effects: Vec<Effect>,
        mut children: Vec<(u32, NewChild)>,
    ) -> Result<NextAction, BackendError> {
        fail_point(FailPoint::ChildRecorded);
        let version = self.version(&cached);
        self.retry(|| self.worker.dispatcher.carry_out(version, tickets.clone(), effects.clone())).await?;
        let group = cached.snapshot.child_groups.get(&next.item);
        children.retain(|(position, new)| {
            let named = group.and_then(|group| group.open.get(position));
            named.is_some_and(|child| child.run == new.run && child.started.is_none())
        });
        let Some(node) = children.first().map(|(_, child)| child.parent.node.clone()) else {
            let waiting = cached.snapshot.started_children(&next.item);
            return Ok(NextAction::Park(next.item, waiting));
        };
        let (started, refused) = self.start_all(&cached, children).await?;
        let has_refused = !refused.is_empty();
        let produced = EncodedOutcome::StartedMany(started, refused);
        let CommitResult { outcome, cached } = self.commit_of_group(&next, &node, produced, &cached).await?;
        match outcome {
            CommitOutcome::Committed(tickets, effects) => {
                self.worker.dispatcher.carry_out(self.version(&cached), tickets, effects).await?;
            }
            CommitOutcome::Discarded if cached.snapshot.status.is_terminal() => {
                // The host that ended the run may have crashed before it cancelled the children.
                self.worker.dispatcher.reapply_end_effects(self.version(&cached)).await?;
                return Ok(NextAction::Ack);
            }
            CommitOutcome::Discarded | CommitOutcome::RunAgain => {}
        }
        if has_refused {
            return Ok(NextAction::Attempt(PendingAttempt { cached, queue_wait: None, ..next }));
        }
        let waiting = cached.snapshot.started_children(&next.item);
        Ok(NextAction::Park(next.item, waiting))
    }

    async fn start_all(
        &self,
        cached: &CachedSnapshot,
        mut children: Vec<(u32, NewChild)>,
    ) -> Result<(Vec<(u32, Seen)>, Vec<EndedChild>), BackendError> {
        let (mut started, mut refused) = (Vec::new(), Vec::new());
        for (_, child) in &mut children {
            child.parent.seen = cached.seen();
        }
        for some in children.chunks(AT_ONCE) {
            // Retries here, since each redelivery of the ticket would count as another attempt.
            let starts = some.iter().map(|(_, child)| {
                self.retry(async || match self.worker.starter.start_child(child).await {
                    Err(StartError::Backend(error)) if error.kind() != BackendErrorKind::TooLarge => {
                        Err(error)
                    }
                    answer => Ok(answer),
                })
            });
            for ((position, child), answer) in some.iter().zip(join_all(starts).await) {
                match answer? {
                    Ok(seen) => started.push((*position, seen)),
                    Err(error) => {
                        let reason = format!("cannot start child run {}: {error}", child.run);
                        refused.extend(encoded(vec![(*position, Err(ChildError::Failed(reason)))])?);
                    }
                }
            }
        }
        Ok((started, refused))
    }
}

fn encoded(results: Vec<(u32, ChildResult)>) -> Result<Vec<EndedChild>, BackendError> {
    let encode = |(position, result): (u32, ChildResult)| {
        let result = codec::encode(&result, RESULT).map_err(|error| corrupt(&error))?;
        Ok(EndedChild { position, result })
    };
    results.into_iter().map(encode).collect()
}

fn corrupt(error: &jetway_state::Error) -> BackendError {
    BackendError::new(BackendErrorKind::Corrupt, error.to_string())
}

/// The later of two ends.
trait Latest {
    fn max_by_end(self, other: Self) -> Self;
}

impl Latest for Option<EndedSpan> {
    fn max_by_end(self, other: Self) -> Self {
        self.into_iter().chain(other).max_by_key(|span| span.end_micros)
    }
}

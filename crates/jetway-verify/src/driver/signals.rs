//! Sends signals to runs: as many as their programs need, some of them twice, and some that no run takes.

use super::{Driver, PAUSE};
use crate::{
    program::{Op, SIGNALS, Token},
    runs::{Fate, Flaw, Moment, Sent, Way},
};
use futures::future::join_all;
use jetway::{
    RunKey,
    client::{ClientError, DoneView, SignalOptions, StartedRun},
};
use rand::{Rng, RngExt, seq::SliceRandom};
use serde_json::{Value, json};
use std::{pin::pin, time::Duration};
use tokio::time::Instant;

/// The name of a signal that no node waits for.
const UNKNOWN: &str = "violet";

/// The signals that are still to be sent to a run.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The positions of their names.
    names: Vec<usize>,
}

/// One signal.
#[derive(Debug, Clone)]
struct Signal {
    number: u64,
    name: &'static str,
    flaw: Option<Flaw>,
    /// Two calls with one id are one signal.
    id: Option<String>,
}

impl Needs {
    /// One signal of each name for each wait, in any order: with all of them, every wait of the program ends. Now and then there are
    /// some more, which no node takes.
    pub(super) fn of(program: &[Op], rng: &mut impl Rng) -> Self {
        let mut names = Vec::new();
        count(program, &mut names);
        let more = if rng.random_ratio(1, 4) { rng.random_range(1..=3) } else { 0 };
        names.extend((0..more).map(|_| rng.random_range(0..SIGNALS.len())));
        names.shuffle(rng);
        Self { names }
    }
}

fn count(program: &[Op], names: &mut Vec<usize>) {
    for op in program {
        match op {
            Op::Listen(listen) => names.extend(listen.names.iter().map(|name| usize::from(*name))),
            Op::Fan(branches, _) => branches.iter().for_each(|branch| count(branch, names)),
            Op::Split(branches) => branches.iter().for_each(|branch| count(branch, names)),
            // A child run waits for none.
            _ => {}
        }
    }
}

impl Driver {
    /// Sends some of the signals before the run exists.
    pub(super) async fn signal_before(&self, run: &RunKey, needs: &mut Needs, rng: &mut impl Rng) {
        if rng.random_ratio(2, 3) {
            return;
        }
        let first = needs.names.len().saturating_sub(rng.random_range(1..=3));
        for name in needs.names.split_off(first) {
            let signal = self.signal(name, None, rng);
            if !matches!(self.send(run, &signal, Way::Message, Moment::Before).await, Fate::Stored) {
                needs.names.push(name);
            }
        }
    }

    /// Sends the signals that a run needs, and waits for its result.
    pub(super) async fn signal_until_ended(
        &self,
        started: &StartedRun,
        mut needs: Needs,
        rng: &mut impl Rng,
    ) -> Result<DoneView, ClientError> {
        let run = &started.key;
        let takes_any = !needs.names.is_empty();
        let left = self.deadline.saturating_duration_since(Instant::now());
        let mut result = pin!(self.client.result(started, left));
        let result = loop {
            if needs.names.is_empty() {
                break result.await;
            }
            tokio::select! {
                biased;
                result = &mut result => break result,
                () = tokio::time::sleep(Duration::from_millis(rng.random_range(1..400))) => {}
            }
            self.signal_some(run, &mut needs, rng).await;
        };
        if takes_any && result.is_ok() && rng.random_ratio(1, 3) {
            self.signal_after(run, rng).await;
        }
        result
    }

    /// Sends a few signals at the same time.
    async fn signal_some(&self, run: &RunKey, needs: &mut Needs, rng: &mut impl Rng) {
        if rng.random_ratio(1, 10) {
            let flaw = if rng.random() { Flaw::Payload } else { Flaw::Name };
            let (signal, way) = (self.signal(rng.random_range(0..SIGNALS.len()), Some(flaw), rng), way(rng));
            self.send(run, &signal, way, Moment::During).await;
        }
        let first = needs.names.len().saturating_sub(rng.random_range(1..=3));
        let names = needs.names.split_off(first);
        let signals: Vec<_> = names
            .iter()
            .map(|name| {
                let signal = self.signal(*name, None, rng);
                // As by a sender that did not get the answer.
                let again = signal.id.is_some() && rng.random_ratio(1, 6);
                (signal, way(rng), again.then(|| way(rng)))
            })
            .collect();
        let sends = signals.iter().map(|(signal, way, again)| async move {
            let fate = self.send(run, signal, *way, Moment::During).await;
            if let Some(again) = again {
                self.send(run, signal, *again, Moment::During).await;
            }
            fate
        });
        for (name, fate) in names.iter().zip(join_all(sends).await) {
            match fate {
                Fate::Stored | Fate::Accepted => {}
                Fate::Unknown => needs.names.insert(0, *name),
                // The run has ended.
                Fate::Refused(_) => return needs.names.clear(),
            }
        }
    }

    /// Sends a signal to a run that has ended.
    async fn signal_after(&self, run: &RunKey, rng: &mut impl Rng) {
        let (signal, way) = (self.signal(rng.random_range(0..SIGNALS.len()), None, rng), way(rng));
        self.send(run, &signal, way, Moment::After).await;
    }

    fn signal(&self, name: usize, flaw: Option<Flaw>, rng: &mut impl Rng) -> Signal {
        let number = self.runs.sent.number();
        let name = if flaw == Some(Flaw::Name) { UNKNOWN } else { SIGNALS[name % SIGNALS.len()] };
        // The client gives an id of its own to each call with a signal that has none.
        let id = rng.random_ratio(7, 8).then(|| format!("signal-{number}"));
        Signal { number, name, flaw, id }
    }

    /// Sends a signal until its fate is known.
    async fn send(&self, run: &RunKey, signal: &Signal, way: Way, moment: Moment) -> Fate {
        let Signal { number, name, flaw, id } = signal.clone();
        let payload = match flaw {
            Some(Flaw::Payload) => json!({ "number": number.to_string() }),
            Some(Flaw::Name) | None => json!(Token { number }),
        };
        // It stays the same when the call is repeated.
        let id = id.unwrap_or_else(|| format!("call-{}", self.runs.sent.tick()));
        let options = SignalOptions::with_id(id);
        let place = self.runs.sent.begin(Sent {
            run: run.to_string(),
            number,
            name: name.to_owned(),
            way,
            flaw,
            moment,
            began: self.runs.sent.tick(),
            answered: None,
            fate: Fate::Unknown,
        });
        let fate = match way {
            Way::Message => self.publish(run, name, &payload, &options).await,
            Way::Request => self.request(run, name, &payload, &options).await,
        };
        self.runs.sent.answer(place, fate.clone());
        fate
    }

    async fn publish(&self, run: &RunKey, name: &str, payload: &Value, options: &SignalOptions) -> Fate {
        while Instant::now() < self.deadline {
            match self.client.publish_signal(run, name, payload, options).await {
                Ok(()) => return Fate::Stored,
                Err(error) if error.is_retryable() => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    tracing::warn!(%run, %error, "a signal was not stored");
                    break;
                }
            }
        }
        Fate::Unknown
    }

    async fn request(&self, run: &RunKey, name: &str, payload: &Value, options: &SignalOptions) -> Fate {
        while Instant::now() < self.deadline {
            match self.client.signal(run, name, payload, options).await {
                Ok(_) => return Fate::Accepted,
                Err(ClientError::Refused { message, .. }) => {
                    return Fate::Refused(message.split(':').next().unwrap_or_default().to_owned());
                }
                // The start is acknowledged, but no host may have processed it yet.
                Err(error) if error.is_retryable() || matches!(error, ClientError::NotFound { .. }) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(%run, %error, "a signal was neither accepted nor refused");
                    break;
                }
            }
        }
        Fate::Unknown
    }
}

fn way(rng: &mut impl Rng) -> Way {
    if rng.random() { Way::Message } else { Way::Request }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Join, Listen};
    use rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn each_wait_gets_one_signal_of_each_of_its_names() {
        let listen = |names: &[u8]| Op::Listen(Listen { names: names.to_vec(), all: false, deadline: None });
        let fan = Op::Fan(vec![vec![listen(&[0, 2])], vec![listen(&[2])]], Join::Gathered);
        let program = [listen(&[1]), fan, Op::Child(vec![listen(&[0])])];
        for seed in 0..20 {
            let needs = Needs::of(&program, &mut StdRng::seed_from_u64(seed)).names;
            let of = |name| needs.iter().filter(|other| **other == name).count();
            assert!((of(0), of(1), of(2)) >= (1, 1, 2) && needs.len() <= 7, "{needs:?}");
        }
    }
}

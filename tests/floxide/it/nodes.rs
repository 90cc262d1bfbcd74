//! Nodes, by hand and by `node!`, and what they answer.

use async_trait::async_trait;
use floxide::{node, node::Node, transition::Transition, FloxideError};

#[derive(Clone, Debug)]
pub struct Halve;

#[async_trait]
impl Node for Halve {
    type Input = i64;
    type Output = i64;

    async fn process(&self, _ctx: &(), input: i64) -> Result<Transition<i64>, FloxideError> {
        match input {
            0 => Ok(Transition::Hold),
            odd if odd % 2 != 0 => Ok(Transition::Abort(FloxideError::Generic(format!("{odd} is odd")))),
            even => Ok(Transition::Next(even / 2)),
        }
    }
}

/// For any context.
#[derive(Clone, Debug)]
pub struct Echo;

#[async_trait]
impl<C: floxide::context::Context> Node<C> for Echo {
    type Input = String;
    type Output = String;

    async fn process(&self, _ctx: &C, input: Self::Input) -> Result<Transition<Self::Output>, FloxideError> {
        Ok(Transition::NextAll(vec![input.clone(), input]))
    }
}

node! {
    pub struct Scale {
        by: i64,
        name: &'static str
        times: u32,
    };
    context = ();
    input = i64;
    output = i64;
    |_ctx, x| {
        if self.by == 0 {
            return Err(FloxideError::Generic(self.name.to_string()));
        }
        tokio::task::yield_now().await;
        let scaled = x.checked_mul(self.by.pow(self.times)).ok_or_else(|| FloxideError::Generic("too much".into()))?;
        Ok(Transition::Next(scaled))
    }
}

fn value<T>(transition: Transition<T>) -> Option<T> {
    match transition {
        Transition::Next(value) => Some(value),
        Transition::NextAll(values) => values.into_iter().next(),
        Transition::Hold => None,
        Transition::Abort(_) => None,
        _ => None,
    }
}

#[tokio::test]
async fn a_node_by_hand_answers_in_four_ways() {
    assert_eq!(value(Halve.process(&(), 8).await.unwrap()), Some(4));
    assert!(matches!(Halve.process(&(), 0).await, Ok(Transition::Hold)));
    let Ok(Transition::Abort(error)) = Halve.process(&(), 3).await else { panic!("3 was halved") };
    assert_eq!(error.to_string(), "Generic error: 3 is odd");
    let echoed = Node::<u64>::process(&Echo, &7, "hi".to_string()).await.unwrap();
    assert!(matches!(&echoed, Transition::NextAll(all) if all.len() == 2));
    assert_eq!(value(echoed), Some("hi".to_string()));
}

#[tokio::test]
async fn a_node_by_macro_is_a_struct_with_public_fields() {
    let node = Scale { by: 3, name: "scale", times: 2 };
    assert_eq!(value(node.clone().process(&(), 2).await.unwrap()), Some(18));
    let nothing = Scale { by: 0, ..node };
    assert!(matches!(nothing.process(&(), 2).await, Err(FloxideError::Generic(why)) if why == "scale"));
}

#[test]
fn errors_are_matched_and_told() {
    use std::time::Duration;
    let told = |error: FloxideError| match &error {
        FloxideError::Generic(why) => format!("{why}: {error}"),
        FloxideError::Cancelled => format!("cancelled: {error}"),
        FloxideError::Timeout(limit) => format!("{limit:?}: {error}"),
        FloxideError::NotStarted => format!("not started: {error}"),
        FloxideError::AlreadyCompleted => format!("completed: {error}"),
        _ => error.to_string(),
    };
    assert_eq!(told(FloxideError::Generic("x".into()).clone()), "x: Generic error: x");
    assert_eq!(told(FloxideError::Cancelled), "cancelled: Workflow cancelled");
    assert_eq!(told(FloxideError::Timeout(Duration::from_secs(2))), "2s: Workflow timed out after 2s");
    assert_eq!(told(FloxideError::NotStarted), "not started: Workflow has not been started");
    assert_eq!(told(FloxideError::AlreadyCompleted), "completed: Workflow already completed");
}

//! `chain`: ten nodes, one after the other, that each add one to a number. A minimal workflow to try an installation.

use jetway::{Transition, node, workflow};

node! {
    /// Adds one.
    pub(crate) struct AddOne {};
    context = ();
    input = i64;
    output = i64;
    |_ctx, number| {
        Ok(Transition::Next(number.saturating_add(1)))
    }
}

workflow! {
    /// Ten steps, one after the other: the input 0 gives the output 10.
    pub(crate) struct Chain {
        one: AddOne,
        two: AddOne,
        three: AddOne,
        four: AddOne,
        five: AddOne,
        six: AddOne,
        seven: AddOne,
        eight: AddOne,
        nine: AddOne,
        ten: AddOne,
    }
    name = "chain";
    start = one;
    context = ();
    edges {
        one => [two];
        two => [three];
        three => [four];
        four => [five];
        five => [six];
        six => [seven];
        seven => [eight];
        eight => [nine];
        nine => [ten];
        ten => {};
    }
}

/// The workflow with its nodes.
pub(crate) fn chain() -> Chain {
    let add = AddOne {};
    Chain {
        one: add.clone(),
        two: add.clone(),
        three: add.clone(),
        four: add.clone(),
        five: add.clone(),
        six: add.clone(),
        seven: add.clone(),
        eight: add.clone(),
        nine: add.clone(),
        ten: add,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway::{Workflow, WorkflowCtx};

    #[tokio::test]
    async fn ten_steps_add_ten() {
        assert_eq!(chain().run(&WorkflowCtx::new(()), 0).await.unwrap(), 10);
        assert_eq!(chain().run(&WorkflowCtx::new(()), -3).await.unwrap(), 7);
    }
}

//! A nested workflow: `CompositeNode` runs a complete workflow within one step of another workflow.
//!
//! ```text
//!          ┌─────── tidy ────────┐
//! text ──▶ │ trim ──▶ capitalise │ ──▶ sign ──▶ "Dear Ada. Yours, Jetway"
//!          └─────────────────────┘
//! ```
//!
//! For the outer run this is one step: it is committed as a whole, and after a crash it starts again from its beginning. A
//! host may also serve the inner workflow on its own.
//!
//! ```sh
//! cargo run -p jetway --example nested
//! cargo run -p jetway --example nested -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! Dear Ada. Yours, Jetway
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::Result;
use jetway::{CompositeNode, prelude::*};

#[path = "support/run.rs"]
mod support;

node! {
    struct Trim;
    input = String;
    output = String;
    |_ctx, text| { Ok(Transition::Next(text.trim().to_owned())) }
}

node! {
    struct Capitalise;
    input = String;
    output = String;
    |_ctx, text| {
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
        Ok(Transition::Next(first + letters.as_str()))
    }
}

workflow! {
    struct Tidy { trim: Trim, capitalise: Capitalise }
    name = "tidy";
    start = trim;
    edges { trim => [capitalise]; capitalise => []; }
}

node! {
    struct Sign { name: String }
    input = String;
    output = String;
    |_ctx, text| { Ok(Transition::Next(format!("{text}. Yours, {}", self.name))) }
}

workflow! {
    struct Letter {
        /// The inner workflow has the same context type, here `()`. Its changes belong to the outer step.
        tidy: CompositeNode<(), Tidy>,
        sign: Sign,
    }
    name = "nested";
    start = tidy;
    edges { tidy => [sign]; sign => []; }
}

#[tokio::main]
async fn main() -> Result<()> {
    // The time limit of this context applies to the inner steps. Cancelling the outer step cancels them.
    let limits = WorkflowCtx::new(());
    let tidy = CompositeNode::new(Tidy { trim: Trim, capitalise: Capitalise }, &limits);
    let letter = Letter { tidy, sign: Sign { name: "Jetway".to_owned() } };
    let [text] = support::run(letter, ["  dear Ada ".to_owned()]).await?;
    println!("{text}");
    Ok(())
}

//! Values that serde writes and does not read are failures of their step, wherever a value is kept.

use super::support::{Fixture, RawDone, key};
use anyhow::Result;
use jetway::{Failure, Transition, merge::Register, node, workflow};
use serde::{Deserialize, Serialize};

/// serde writes an amount and cannot read it: a group with an inner tag has no numbers of 128 bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Payment {
    Wei { amount: u128 },
    Euro { cents: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Place {
    Successor,
    FanOut,
    Gathered,
    Context,
    Output,
    Fine,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, jetway::Merge)]
struct Seen {
    payment: Register<Option<Payment>>,
}

const WEI: Payment = Payment::Wei { amount: 1 };
const EURO: Payment = Payment::Euro { cents: 1 };

#[derive(Debug)]
enum Paid {
    One(Payment),
    Collected(Payment),
    Done(Payment),
}

node! {
    struct Pay; context = Seen; input = Place; output = Paid;
    |seen, place| Ok(match place {
        Place::Successor => Transition::Next(Paid::One(WEI)),
        Place::FanOut => Transition::NextAll(vec![Paid::One(EURO), Paid::One(WEI)]),
        Place::Gathered => Transition::NextAll(vec![Paid::Collected(EURO), Paid::Collected(WEI)]),
        Place::Context => {
            seen.payment.set(Some(WEI));
            Transition::Next(Paid::Done(EURO))
        }
        Place::Output => Transition::Next(Paid::Done(WEI)),
        Place::Fine => Transition::Next(Paid::Done(EURO)),
    })
}
node! {
    struct Book; context = Seen; input = Payment; output = Payment;
    |_, payment| Ok(Transition::Next(payment))
}
node! {
    struct Collect; context = Seen; input = Vec<Payment>; output = Payment;
    |_, _payments| Ok(Transition::Next(EURO))
}
node! {
    struct Refuse; context = Seen; input = Failure<Place>; output = Payment;
    |seen, failure| {
        assert_eq!((failure.node.as_str(), failure.kind.as_str()), ("pay", "codec"));
        assert!(failure.message.contains("read back"), "{}", failure.message);
        assert!(seen.payment.get().is_none(), "a failed step changes nothing");
        Ok(Transition::Next(Payment::Euro { cents: 99 }))
    }
}

workflow! {
    struct Caught { pay: Pay, book: Book, #[gather] collect: Collect, refuse: Refuse } name = "caught";
    context = Seen;
    start = pay;
    edges {
        pay => { Paid::One(payment) => [book]; Paid::Collected(payment) => [collect]; Paid::Done(payment) => []; };
        pay on_failure => [refuse];
        book => []; collect => []; refuse => [];
    }
}

workflow! {
    struct Uncaught { pay: Pay, book: Book, #[gather] collect: Collect } name = "uncaught";
    context = Seen;
    start = pay;
    edges {
        pay => { Paid::One(payment) => [book]; Paid::Collected(payment) => [collect]; Paid::Done(payment) => []; };
        book => []; collect => [];
    }
}

const PLACES: [Place; 5] = [Place::Successor, Place::FanOut, Place::Gathered, Place::Context, Place::Output];

#[tokio::test(flavor = "multi_thread")]
async fn f2_a_value_that_cannot_be_read_back_fails_its_step() -> Result<()> {
    let fixture =
        Fixture::start("uncaught", |host| host.workflow(Uncaught { pay: Pay, book: Book, collect: Collect }))
            .await?;
    for place in PLACES {
        let (run, input) = (format!("{place:?}"), serde_json::to_string(&place)?);
        let bytes = fixture.requested("uncaught", &run, &input).await?;
        let done = fixture.result(&key("uncaught", &run)?).await?;
        let error = done.error.unwrap_or_else(|| panic!("{place:?}: {}", String::from_utf8_lossy(&bytes)));
        assert_eq!(
            (done.status.as_str(), error.kind.as_str(), error.node.as_deref()),
            ("failed", "codec", Some("pay"))
        );
        assert!(error.message.contains("u128 is not supported"), "{place:?}: {}", error.message);
    }
    let fine: RawDone = serde_json::from_slice(&fixture.requested("uncaught", "fine", "\"Fine\"").await?)?;
    assert_eq!(fine.output.get(), r#"{"kind":"Euro","cents":1}"#);
    fixture.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_such_a_failure_takes_on_failure() -> Result<()> {
    let caught = Caught { pay: Pay, book: Book, collect: Collect, refuse: Refuse };
    let fixture = Fixture::start("caught", |host| host.workflow(caught)).await?;
    for place in PLACES {
        let (run, input) = (format!("{place:?}"), serde_json::to_string(&place)?);
        let done: RawDone = serde_json::from_slice(&fixture.requested("caught", &run, &input).await?)?;
        assert_eq!((done.status.as_str(), done.output.get()), ("completed", r#"{"kind":"Euro","cents":99}"#));
    }
    fixture.stop().await;
    Ok(())
}

#[tokio::test]
async fn f2_a_start_whose_input_cannot_be_kept_is_refused() -> Result<()> {
    let fixture = Fixture::start("input", |host| host.workflow(Booking { book: Book })).await?;
    let refused =
        fixture.ask("start.booking", r#"{"kind":"Wei","amount":1}"#).await?.expect_err("it is refused");
    assert_eq!(refused.0, "400");
    assert!(refused.1.contains("u128 is not supported"), "{}", refused.1);
    fixture.stop().await;
    Ok(())
}

workflow! {
    struct Booking { book: Book } name = "booking";
    context = Seen; start = book; edges { book => []; }
}

//! `node!`: every kind of struct, and bodies in the usual style.

use jetway_core::{Error, Node, Transition};
use jetway_macros::node;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Limits {
    top: i64,
}

node! {
    /// Multiplies, up to the limit of the context.
    #[derive(PartialEq, Debug)]
    pub struct Scale {
        /// The factor.
        by: i64,
        pub(crate) offset: i64
        note: &'static str,
    };
    context = Limits;
    input = i64;
    output = i64;
    |ctx, x| {
        let scaled = x.checked_mul(self.by).ok_or(Error::Limit(self.note.to_owned()))? + self.offset;
        if scaled > ctx.top {
            return Ok(Transition::Hold);
        }
        tokio::task::yield_now().await;
        Ok(Transition::Next(scaled))
    }
}

node! {
    struct Unit;
    output = &'static str;
    input = (u8, Vec<u8>);
    |_, (first, mut rest)| {
        rest.push(first);
        Ok(Transition::Next(if rest.len() > 1 { "many" } else { "one" }))
    }
}

node! {
    struct Empty {}
    context = ();
    input = ();
    output = ();
    async |_, ()| Ok(Transition::Hold)
}

node! {
    #[derive(Default)]
    pub struct Tuple<T>(pub Vec<T>, u8) where T: Clone + Send + Sync;
    input = usize;
    output = T;
    move |_, at| {
        let found = self.0.get(at + usize::from(self.1)).cloned();
        Ok(found.map_or(Transition::Hold, Transition::Next))
    };
}

/// The user's own names do not affect the generated signature.
mod shadowed {
    type Result<T> = std::result::Result<T, String>;
    #[derive(Debug)]
    struct Transition;
    #[derive(Debug)]
    struct Error;
    #[expect(dead_code, reason = "only its name matters")]
    trait Node {}
    type Option = Vec<String>;

    jetway_macros::node! {
        pub(super) struct Alone;
        input = u8;
        output = u8;
        |_, x| {
            fn double(x: u8) -> Result<u8> {
                x.checked_mul(2).ok_or_else(|| "too much".to_owned())
            }
            let _mine: (Transition, Error, Option) = (Transition, Error, Vec::new());
            double(x).map(jetway_core::Transition::Next).map_err(jetway_core::Error::Generic)
        }
    }
}

#[tokio::test]
async fn fields_clauses_and_patterns() {
    let scale = Scale { by: 3, offset: 1, note: "overflow" };
    let ctx = Limits { top: 100 };
    assert_eq!(scale.process(&ctx, 5).await, Ok(Transition::Next(16)));
    assert_eq!(scale.process(&ctx, 50).await, Ok(Transition::Hold));
    assert_eq!(scale.process(&ctx, i64::MAX).await, Err(Error::Limit("overflow".to_owned())));
    assert_eq!(scale.clone(), scale);

    assert_eq!(Unit.process(&(), (1, vec![2])).await, Ok(Transition::Next("many")));
    assert_eq!(Empty {}.process(&(), ()).await, Ok(Transition::Hold));
    assert_eq!(Tuple(vec!["a", "b"], 1).process(&(), 0).await, Ok(Transition::Next("b")));
    assert_eq!(format!("{:?}", Tuple::<u8>::default()), "Tuple([], 0)");
}

#[tokio::test]
async fn names_of_the_user_do_not_affect_generated_code() {
    assert_eq!(shadowed::Alone.process(&(), 4).await, Ok(Transition::Next(8)));
    assert_eq!(shadowed::Alone.process(&(), 200).await, Err(Error::Generic("too much".to_owned())));
}

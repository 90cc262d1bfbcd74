//! Panics in the code of users become errors.

use futures::FutureExt;
use jetway_state::Error;
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// WorkLoop a panic of a node into its error.
///
/// Nothing that the node left half-done is looked at again: its input is gone, and its context is thrown away with the
/// attempt unless a fallback commits it.
///
/// # Errors
/// The future's own, and [`Error::Panicked`].
pub async fn guarded<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(future)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(&*panic))))
}

/// Does what a type of the user does to its own values: a panic in there is an error.
pub(crate) fn guarded_now<T>(act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| Err(Error::Panicked(panic_text(&*panic))))
}

/// What a panic says.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it did not say why").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panics_become_errors() {
        let formatted = guarded::<()>(async { panic!("no {}", "page") }).await;
        assert_eq!(formatted, Err(Error::Panicked("no page".to_owned())));
        let plain = guarded::<()>(async { panic!("no page") }).await;
        assert_eq!(plain, Err(Error::Panicked("no page".to_owned())));
        assert_eq!(guarded(async { Ok(1) }).await, Ok(1));
    }
}

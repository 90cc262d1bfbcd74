//! Turns panics in code of the user into errors.

use futures::FutureExt;
use jetway_state::Error;
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Turns a panic of a future into an error.
///
/// `AssertUnwindSafe` is sound here: the attempt owns the node's input and a copy of the context, and a failed attempt
/// drops both.
///
/// # Errors
/// The error of the future, or [`Error::Panicked`].
pub async fn guarded<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(future)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(&*panic))))
}

/// Calls code of a user's type, such as its `Serialize` or `Merge`, and turns a panic into an error.
pub(crate) fn guarded_now<T>(f: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(Error::Panicked(panic_text(&*panic))))
}

/// The message of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
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

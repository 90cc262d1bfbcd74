//! What happens at limits: each either works or fails that one run with a clear error, and afterwards everything goes on.

mod full;
mod growth;
mod memory;
mod process;
mod sizes;
mod slow;
mod support;
mod wide;

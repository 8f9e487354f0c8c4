//! What is to be told once more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Token;

/// Tells links as readable though the system tells them no more: for a line that knows, from an event or from what it
/// received, that an end or an error is still to be taken.
///
/// The next wait of the [`Queue`](super::Queue) tells it and does not block. What is asked for while a wait runs, on
/// another thread, is told by the one after it: nobody is woken.
#[derive(Clone, Default, Debug)]
pub struct Again(Arc<Repeats>);

#[derive(Default, Debug)]
struct Repeats {
    /// There are some: most waits need not take the lock.
    any: AtomicBool,
    tokens: Mutex<Vec<Token>>,
}

impl Again {
    /// Has `token` told as readable by the next wait, if its link is still there; once for each call.
    pub fn push(&self, token: Token) {
        let mut tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.push(token);
        self.0.any.store(true, Ordering::Release);
    }

    #[inline]
    pub(super) fn take(&self) -> Vec<Token> {
        if !self.0.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut *tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_taken_once_in_order_and_a_clone_asks_for_the_same() {
        let again = Again::default();
        assert!(again.take().is_empty());
        again.push(Token(2));
        again.clone().push(Token(1));
        assert_eq!(again.take(), [Token(2), Token(1)]);
        assert!(again.take().is_empty());
        again.push(Token(3));
        assert_eq!(again.take(), [Token(3)]);
    }
}

//! What the operating system said, with the operation and the peer; and what it says without meaning it.

use std::fmt::{self, Display};
use std::io;

/// `error` told as "`operation`: what the system said", of the same kind; it is kept as the source.
///
/// `operation` is a verb with what it was done to, as in `bind to 10.0.0.1:21064`.
///
/// ```
/// use std::io;
///
/// use dlmwire_transport::sockets::in_operation;
///
/// let error = in_operation("bind to 10.0.0.1:0", io::ErrorKind::AddrNotAvailable.into());
/// assert_eq!(error.to_string(), "bind to 10.0.0.1:0: address not available");
/// ```
pub fn in_operation(operation: impl Display, error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        OperationError {
            operation: operation.to_string(),
            error,
        },
    )
}

/// Calls again while a signal interrupts.
///
/// # Errors
///
/// What `call` gives, except `Interrupted`.
#[inline]
pub fn retry<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[derive(Debug)]
struct OperationError {
    operation: String,
    error: io::Error,
}

impl Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.error.to_string();
        let mut letters = text.chars();
        let first = letters
            .next()
            .map(|first| first.to_ascii_lowercase())
            .unwrap_or_default();
        write!(f, "{}: {first}{}", self.operation, letters.as_str())
    }
}

impl std::error::Error for OperationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_in_operation_names_it_and_keeps_the_source() {
        let refused = io::Error::from_raw_os_error(111);
        let kind = refused.kind();
        let error = in_operation("connect to node 2 at 127.0.0.2:21064", refused);
        assert_eq!(error.kind(), kind);
        let text = error.to_string();
        assert_eq!(
            text,
            "connect to node 2 at 127.0.0.2:21064: connection refused (os error 111)"
        );
        let source = error
            .get_ref()
            .and_then(|inner| inner.source())
            .expect("the source is kept");
        assert_eq!(
            source
                .downcast_ref::<io::Error>()
                .and_then(io::Error::raw_os_error),
            Some(111)
        );
    }

    #[test]
    fn interrupted_call_is_made_again_and_every_other_outcome_is_told() {
        let mut outcomes = [
            Ok(3),
            Err(io::ErrorKind::Interrupted),
            Err(io::ErrorKind::WouldBlock),
        ]
        .into_iter();
        let mut call = || {
            outcomes
                .next_back()
                .expect("no more calls")
                .map_err(io::Error::from)
        };
        let error = retry(&mut call).expect_err("nothing is there");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(retry(&mut call).expect("the call after the signal"), 3);
    }
}

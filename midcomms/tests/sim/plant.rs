//! Bugs planted in the driver on purpose: the verdict has to find each of them.

/// A planted bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Plant {
    /// None.
    Nothing,
    /// The order to close a link is forgotten now and then.
    ForgetsToClose,
    /// The end of a link is never reported.
    ForgetsLinkDown,
    /// Now and then a message is handed to the application twice.
    DeliversTwice,
    /// Now and then a message is not handed to the application.
    DropsDelivery,
    /// Two messages of one read are handed over in the wrong order.
    SwapsDeliveries,
    /// The end of a read is never reported.
    ForgetsReadDone,
    /// A wanted link is dialed only the first time.
    DialsOnce,
    /// A queue that can be written again is not noticed.
    ForgetsWritable,
    /// More is reported as transmitted than was taken.
    OverstatesTransmitted,
    /// Timeouts are never reported.
    ForgetsTimeout,
    /// Now and then a byte of a payload is changed before the application sees it.
    ChangesPayload,
    /// A told restart is not passed on to the engines of the others.
    ForgetsFence,
    /// The warning that a peer restarted is not passed on.
    HidesRestart,
}

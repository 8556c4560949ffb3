//! What one call gives to the totals of RFC 6076: its times, the codes that decide its ratios, and what is odd
//! about it.

use crate::outcome::labelled;
use crate::report::CallState;

labelled! {
    /// What may be to be said of a call.
    Noted {
        /// The INVITE made several dialogs.
        Forked = "forked",
        /// It went into a loop.
        Loop = "loop",
        /// It went over one hop twice with another Request-URI.
        Spiral = "spiral",
        /// Somebody asked for its transfer (REFER, RFC 3515).
        Transfer = "transfer",
        /// A provisional response asked for PRACK (RFC 3262).
        Prack = "prack",
        /// It began before the capture.
        JoinedLate = "joined_late",
        /// Nothing answered its BYE in time.
        ByeUnanswered = "bye_unanswered",
    }
}

/// The figures of one call as it stands at the time asked for. Times are in milliseconds of packet time, taken at the hop
/// nearest to the caller that was seen; absent where one of their two ends was not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallFigures {
    /// Where the call stands.
    pub state: CallState,
    /// An INVITE outside a dialog, or a response to one, was seen: the call is one session request. A call that was joined in
    /// the middle is none, and its only figures are those of its end.
    pub is_session_request: bool,
    /// The final response that decides the call: the first 2xx, else the refusal of the latest INVITE that the caller hears.
    /// Absent while there is none, and where none came in time.
    pub final_code: Option<u16>,
    /// INVITEs that were answered with 401, 402 or 407; RFC 6076 sections 4.3 and 4.7 count them as no failures.
    pub challenges: u32,
    /// INVITEs that were answered with 3xx, which the session establishment ratio leaves out (RFC 6076 section 4.6).
    pub redirects: u32,
    /// Session request delay of a call that got through: the INVITE that carries what is needed (credentials, where it was
    /// challenged) to the first provisional response other than 100, or to the 2xx where none came (RFC 6076 section 4.3.1).
    pub session_request_delay_ms: Option<f64>,
    /// The same of a call that failed: that INVITE to the first provisional response other than 100, or to the final response
    /// where none came, which is no challenge (RFC 6076 section 4.3.2).
    pub failed_session_request_delay_ms: Option<f64>,
    /// Session disconnect delay: BYE to its 2xx (RFC 6076 section 4.4.1).
    pub session_disconnect_delay_ms: Option<f64>,
    /// The same of a BYE that no 2xx answered: to its other final response, or to the time limit (timer F; RFC 6076 section
    /// 4.4.2).
    pub failed_session_disconnect_delay_ms: Option<f64>,
    /// Session duration: first 2xx to the BYE, which a 2xx answered (RFC 6076 section 4.5.1).
    pub session_duration_ms: Option<f64>,
    /// The same where nothing answered the BYE: first 2xx to the time limit (timer F; RFC 6076 section 4.5.2).
    pub failed_session_duration_ms: Option<f64>,
    /// First 180 to first 2xx.
    pub ring_time_ms: Option<f64>,
    /// First INVITE, challenges included as the caller waits for them too, to the first 180 or 183.
    pub post_dial_delay_ms: Option<f64>,
    /// The call went to its end without failing for want of an answer (RFC 6076 section 4.9): not when the INVITE or the BYE
    /// timed out, was refused with 408, or never came. Absent while that is open.
    pub completed: Option<bool>,
    /// What holds of it, in the order of [`Noted`].
    pub noted: [bool; Noted::ALL.len()],
    /// Keys that its INFO requests told of.
    pub info_digits: u64,
}

//! Event packages of SUBSCRIBE, NOTIFY and PUBLISH.

use super::header::{split_before, trim};
use crate::outcome::labelled;

labelled! {
    /// What a subscription is about: the package that the Event header names (RFC 6665 section 7.2). The registry is
    /// IANA's "SIP Event Types Namespace"; those that networks carry have a name here, so that a label has few values.
    EventPackage {
        /// RFC 3856.
        Presence = "presence",
        /// Who watches whose presence: RFC 3857.
        PresenceWatchers = "presence.winfo",
        /// Busy lamps: RFC 4235.
        Dialog = "dialog",
        /// Message waiting: RFC 3842.
        MessageSummary = "message-summary",
        /// RFC 3680.
        Registration = "reg",
        /// RFC 3515.
        Refer = "refer",
        /// RFC 4575.
        Conference = "conference",
        /// Configuration of user agents: RFC 6080.
        Profile = "ua-profile",
        /// Keys that were pressed: RFC 4730.
        Kpml = "kpml",
        /// Voice quality reports: RFC 6035.
        VoiceQuality = "vq-rtcpxr",
        /// RFC 6910.
        CallCompletion = "call-completion",
        /// RFC 5875.
        XcapDiff = "xcap-diff",
        /// Feature keys of BroadWorks telephones; not registered.
        FeatureKeys = "as-feature-event",
        /// Sent to open NAT bindings; not registered.
        KeepAlive = "keep-alive",
        /// Any other token.
        Other = "other",
    }
}

impl EventPackage {
    /// The package that the value of an Event header names. Event types are compared byte by byte (RFC 6665 section
    /// 8.2.1), but what differs in case only is no other package in practice.
    pub fn from_header(value: &[u8]) -> Self {
        let (token, _) = split_before(value, |byte| byte == b';');
        let token = trim(token);
        Self::ALL
            .iter()
            .copied()
            .find(|package| package.label().as_bytes().eq_ignore_ascii_case(token))
            .unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_its_package_and_nothing_else() {
        for package in EventPackage::ALL {
            let value = format!(" {} ;id=7", package.label());
            assert_eq!(EventPackage::from_header(value.as_bytes()), *package);
        }
        assert_eq!(
            EventPackage::from_header(b"Message-Summary"),
            EventPackage::MessageSummary
        );
        for other in [&b""[..], b"presence.winfo.winfo", b"presenc"] {
            assert_eq!(EventPackage::from_header(other), EventPackage::Other);
        }
    }
}

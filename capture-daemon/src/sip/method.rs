//! Request methods.

use crate::outcome::labelled;

labelled! {
    /// The method of a request, or of the request a response answers. The registry is IANA's "SIP Methods".
    Method {
        /// RFC 3261 section 13.
        Invite = "INVITE",
        /// RFC 3261 section 13.2.2.4.
        Ack = "ACK",
        /// RFC 3261 section 15.
        Bye = "BYE",
        /// RFC 3261 section 9.
        Cancel = "CANCEL",
        /// RFC 3261 section 10.
        Register = "REGISTER",
        /// RFC 3261 section 11.
        Options = "OPTIONS",
        /// RFC 3262.
        Prack = "PRACK",
        /// RFC 6665.
        Subscribe = "SUBSCRIBE",
        /// RFC 6665.
        Notify = "NOTIFY",
        /// RFC 3903.
        Publish = "PUBLISH",
        /// RFC 6086.
        Info = "INFO",
        /// RFC 3515.
        Refer = "REFER",
        /// RFC 3428.
        Message = "MESSAGE",
        /// RFC 3311.
        Update = "UPDATE",
        /// Any other token.
        Other = "OTHER",
    }
}

impl Method {
    /// The method a token names. Methods are case-sensitive (RFC 3261 section 7.1).
    pub fn from_token(token: &[u8]) -> Self {
        Self::ALL
            .iter()
            .copied()
            .find(|method| method.label().as_bytes() == token)
            .unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_method_and_nothing_else() {
        for method in Method::ALL {
            assert_eq!(Method::from_token(method.label().as_bytes()), *method);
        }
        assert_eq!(Method::from_token(b"invite"), Method::Other);
        assert_eq!(Method::from_token(b""), Method::Other);
    }
}

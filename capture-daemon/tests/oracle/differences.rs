//! Where siphon and tshark (4.0.17) differ on a capture, one by one, with who is right and why.

/// What differs in one file for one reason.
pub struct Difference {
    /// Name of the capture.
    pub file: &'static str,
    /// Who is right.
    pub why: Why,
    /// What is compared, siphon's figure, tshark's.
    pub rows: &'static [(&'static str, &'static str, &'static str)],
}

/// Who is right.
pub enum Why {
    /// tshark: siphon does not do this yet. When it does, the rows go.
    Pending(&'static str),
    /// siphon, for this reason.
    SiphonIsRight(&'static str),
}

use Why::{Pending, SiphonIsRight};

/// The whole list.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        file: "DTMFsipinfo.pcap",
        why: Pending("PPPoE"),
        rows: &[
            ("ACK", "0", "5"),
            ("CANCEL", "0", "2"),
            ("INFO", "0", "4"),
            ("INVITE", "0", "5"),
            ("responses 100", "0", "5"),
            ("responses 200", "0", "11"),
            (
                "call 2091060b-146f-e011-809a-0019cb53db77@admind-desktop",
                "not there",
                "answered 200",
            ),
        ],
    },
    Difference {
        file: "SIP_DTMF2.cap",
        why: SiphonIsRight(
            "The stream has telephone events (RFC 4733), whose timestamp stands still while a key is down. tshark measures \
             the voice packet after an event from the event's timestamp, and shows the length of the key press as jitter.",
        ),
        rows: &[(
            "stream 0x5711bf84 192.168.105.172:4376 > 192.168.105.110:4376",
            "666 packets, 0 lost, jitter 0.009/0.015 ms",
            "666 packets, 0 lost, jitter 1.522/15.767 ms",
        )],
    },
    Difference {
        file: "calls-udp-impaired.pcap",
        why: SiphonIsRight(
            "The stream's last packet to arrive is a late one, and tshark takes its number for the highest: it expects 49 \
             packets, not 50.",
        ),
        rows: &[(
            "stream 0x51500002 192.0.2.2:30000 > 192.0.2.1:10000",
            "48 packets, 2 lost, jitter 2.235/6.066 ms",
            "48 packets, 1 lost, jitter 2.235/6.066 ms",
        )],
    },
    Difference {
        file: "erspan_sip_ipv4_udp.pcapng",
        why: Pending("ERSPAN"),
        rows: &[
            ("ACK", "0", "18"),
            ("BYE", "0", "6"),
            ("INVITE", "0", "16"),
            ("NOTIFY", "0", "11"),
            ("REFER", "0", "4"),
            ("SUBSCRIBE", "0", "12"),
            ("responses 100", "0", "14"),
            ("responses 180", "0", "6"),
            ("responses 200", "0", "30"),
            ("responses 202", "0", "8"),
            ("responses 401", "0", "1"),
            ("responses 407", "0", "4"),
            ("responses 481", "0", "8"),
            ("responses 488", "0", "2"),
            (
                "call bf3880-0-16e4-5af571fa-38bc4ba4-5af571fa@101.231.48.19",
                "not there",
                "ended 200",
            ),
            (
                "call cdfef7c7647e97e4ff66fbf504c524e4@192.168.1.191",
                "not there",
                "ended 200",
            ),
            (
                "call ddd141f1d982d8989fb73db754a8fbb7@192.168.1.191",
                "not there",
                "ended 200",
            ),
        ],
    },
    Difference {
        file: "gtp-iphone.pcap",
        why: Pending("GTP-U"),
        rows: &[
            ("ACK", "0", "1"),
            ("BYE", "0", "1"),
            ("INVITE", "0", "1"),
            ("MESSAGE", "0", "1"),
            ("REGISTER", "0", "3"),
            ("SUBSCRIBE", "0", "1"),
            ("responses 100", "0", "1"),
            ("responses 180", "0", "1"),
            ("responses 200", "0", "4"),
            ("responses 202", "0", "1"),
            ("responses 401", "0", "1"),
            ("responses 405", "0", "1"),
            ("call zTHDK1uOm6wLihi3m15pRfSR", "not there", "ended 200"),
            (
                "stream 0xa2ff620f fd00:183:1:1:1886:9040:8605:32b8:49120 > fd01::183:19956",
                "not there",
                "13 packets, 402 lost, jitter 6.516/10.770 ms",
            ),
            (
                "stream 0x6399bbc1 fd01::183:19956 > fd00:183:1:1:1886:9040:8605:32b8:49120",
                "not there",
                "14 packets, 509 lost, jitter 4.138/8.817 ms",
            ),
        ],
    },
    Difference {
        file: "ipip.pcap",
        why: Pending("IPIP"),
        rows: &[
            ("responses 183", "0", "1"),
            ("responses 200", "0", "1"),
            ("call 1RLuVzzBClYCf2", "unanswered", "ended 200"),
        ],
    },
    Difference {
        file: "ipv6frag.pcap",
        why: Pending("IPv6 fragments"),
        rows: &[("INVITE", "0", "2")],
    },
    Difference {
        file: "rtp-60late-500total.pcapng",
        why: SiphonIsRight(
            "No SDP and a dynamic payload type: nobody knows the clock, and without a clock there is no jitter. tshark \
             takes the clock for 0 and prints 0.",
        ),
        rows: &[(
            "stream 0xa9733981 94.34.27.189:7076 > 192.168.2.14:7076",
            "404 packets, 0 lost, jitter -/- ms",
            "404 packets, 0 lost, jitter 0.000/0.000 ms",
        )],
    },
    Difference {
        file: "sip_tcp_websocket.pcap",
        why: Pending("SIP over WebSocket"),
        rows: &[
            ("ACK", "3", "5"),
            ("BYE", "3", "4"),
            ("INVITE", "3", "5"),
            ("responses 100", "3", "4"),
            ("responses 180", "1", "2"),
            ("responses 183", "7", "8"),
            ("responses 200", "7", "9"),
            ("responses 407", "0", "1"),
        ],
    },
];

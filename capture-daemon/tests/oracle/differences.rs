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

use Why::SiphonIsRight;

/// The whole list.
pub const DIFFERENCES: &[Difference] = &[
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
        file: "coturn.pcap",
        why: SiphonIsRight(
            "The leg between client and TURN server has its RTP in ChannelData, and is a stream beside the plain leg between \
             server and peer. tshark does not look for RTP in ChannelData.",
        ),
        rows: &[
            (
                "stream 0x4661e554 192.0.2.1:20008 > 192.0.2.3:3478",
                "51 packets, 0 lost, jitter 2.154/3.289 ms",
                "not there",
            ),
            (
                "stream 0x9702ac11 192.0.2.3:3478 > 192.0.2.1:20008",
                "52 packets, 0 lost, jitter 2.170/3.300 ms",
                "not there",
            ),
        ],
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
];

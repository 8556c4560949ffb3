//! What must hold of values that are each well-formed: limits of the kernel, and of one value against another.

use std::time::Duration;

use capture_common::Media;

use super::{Attach, Config, Mode, Problem};
use crate::spool::Names;

/// Bytes that all chunks of a lane may have: they are allocated at the start.
const MAX_CHUNK_BYTES: u64 = 16 << 30;

/// Longest interface name: IFNAMSIZ less the terminating zero (include/uapi/linux/if.h).
const INTERFACE_NAME: usize = 15;
/// Longest path of a Unix socket: sun_path less the terminating zero (unix(7)).
const SOCKET_PATH: usize = 107;
/// CPUs that a `cpu_set_t` holds (sched_setaffinity(2)).
const CPUS: usize = 1024;
/// Headers that are kept with a call, and headers that connect calls.
const MAX_HEADERS: usize = 16;
/// What a file name may be made of.
const PLACEHOLDERS: &[&str] = &["interface", "lane", "time", "extension"];

impl Config {
    /// Everything that is wrong with these values, in the order of the file; empty where nothing is.
    pub fn problems(&self) -> Vec<Problem> {
        let mut check = Check(Vec::new());
        check.capture(self);
        check.follow(self);
        check.spool(self);
        check.control(self);
        let filter = &self.log.filter;
        let valid = tracing_subscriber::EnvFilter::try_new(filter).is_ok();
        check.holds("log.filter", valid, || {
            format!("{filter:?} is not a filter such as \"info\" or \"info,capture_daemon::xsk=debug\"")
        });
        check.0
    }
}

struct Check(Vec<Problem>);

impl Check {
    fn wrong(&mut self, key: &str, message: impl Into<String>) {
        self.0.push(Problem {
            line: None,
            key: Some(key.to_owned()),
            message: message.into(),
        });
    }

    fn holds(&mut self, key: &str, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.wrong(key, message());
        }
    }

    fn within(&mut self, key: &str, value: u64, from: u64, to: u64) {
        self.holds(key, (from..=to).contains(&value), || {
            format!("{value} is not between {from} and {to}")
        });
    }

    fn positive(&mut self, key: &str, value: Duration) {
        self.holds(key, value > Duration::ZERO, || "must be longer than 0".to_owned());
    }

    fn capture(&mut self, config: &Config) {
        let capture = &config.capture;
        let name = &capture.interface;
        // dev_valid_name (net/core/dev.c): no slash, colon or white space, not "." or "..".
        let valid = name.len() <= INTERFACE_NAME
            && !matches!(name.as_str(), "." | "..")
            && !name.contains(|c: char| matches!(c, '/' | ':' | '\0') || c.is_whitespace());
        self.holds("capture.interface", valid, || {
            format!(
                "{name:?} is not the name of an interface (at most {INTERFACE_NAME} bytes, no \"/\", \":\" or space)"
            )
        });
        self.holds("capture.sip_ports", !capture.sip_ports.is_empty(), || {
            "at least one port is needed".to_owned()
        });
        for cpu in capture.cpus.iter().filter(|cpu| **cpu >= CPUS) {
            self.wrong("capture.cpus", format!("CPU {cpu} is above the highest, {}", CPUS - 1));
        }
        let entries = capture.ring_entries;
        // xsk_init_queue (net/xdp/xsk.c) takes powers of two only; a batch of the worker is 64 frames.
        self.holds(
            "capture.ring_entries",
            entries.is_power_of_two() && (64..=1 << 20).contains(&entries),
            || format!("{entries} is not a power of two between 64 and {}", 1 << 20),
        );
        self.holds("capture.umem_frames", capture.umem_frames >= entries, || {
            format!(
                "{} is below ring_entries ({entries}): the fill ring could never be full",
                capture.umem_frames
            )
        });
        let attach = match (capture.mode, capture.attach) {
            (Mode::Mirror, Attach::Tcx) => {
                Some("\"tcx\" takes no frame from the host, as mirror mode does; capture.mode = \"host\" goes with it")
            }
            // netif_receive_generic_xdp (net/core/dev.c) shows super-frames, and an XDP program cannot ask of how many packets.
            (Mode::Host, Attach::Generic) => Some(
                "\"generic\" shows super-frames without the size of their packets; in host mode \"tcx\" sees the same frames with it",
            ),
            (Mode::Packet, Attach::Native | Attach::Generic | Attach::Tcx) => {
                Some("in packet mode nothing is attached; only \"auto\" goes with it")
            }
            _ => None,
        };
        if let Some(why) = attach {
            self.wrong("capture.attach", why);
        }
        if capture.mode == Mode::Packet {
            self.holds(
                "capture.media",
                matches!(capture.media, Media::Off | Media::Range),
                || {
                    format!(
                        "{:?} needs the kernel program, which packet mode has not; capture.mode = \"host\" and \"mirror\" have it, \
                         \"range\" and \"off\" go with packet mode",
                        capture.media.label()
                    )
                },
            );
            self.holds("capture.kernel_log", !capture.kernel_log, || {
                "packet mode has no kernel program; capture.mode = \"host\" and \"mirror\" have one".to_owned()
            });
        }
        let size = capture.ring_size;
        // ringbuf_map_alloc (kernel/bpf/ringbuf.c) takes powers of two of whole pages; a super-frame has to fit often, and a
        // packet ring has two blocks for one at least.
        self.holds(
            "capture.ring_size",
            size.is_power_of_two() && (1 << 18..=1 << 30).contains(&size),
            || format!("{size} is not a power of two between 256 KiB and 1 GiB"),
        );
        // xdp_umem_reg (net/xdp/xdp_umem.c): from 2048 to the page size.
        self.holds("capture.frame_size", matches!(capture.frame_size, 2048 | 4096), || {
            format!("{} is neither 2048 nor 4096", capture.frame_size)
        });
    }

    fn follow(&mut self, config: &Config) {
        let follow = &config.follow;
        for (key, value) in [
            ("follow.max_calls", follow.max_calls),
            ("follow.max_registrations", follow.max_registrations),
            ("follow.max_transactions", follow.max_transactions),
            ("follow.max_streams", follow.max_streams),
            ("follow.waiting_room", follow.waiting_room),
            ("follow.max_endpoints", follow.max_endpoints),
            ("follow.max_faxes", follow.max_faxes),
            ("follow.max_rtcp_sources", follow.max_rtcp_sources),
            ("follow.max_fragments", follow.max_fragments),
            ("follow.max_tcp_streams", follow.max_tcp_streams),
            ("follow.max_allocations", follow.max_allocations),
            ("follow.max_stun_transactions", follow.max_stun_transactions),
        ] {
            self.within(key, value as u64, 1, 1 << 28);
        }
        // A datagram has at most 64 KiB, in pieces that each cost some more; the table is in up to 16 parts.
        self.within(
            "follow.fragment_buffer",
            follow.fragment_buffer as u64,
            4 << 20,
            1 << 34,
        );
        self.within("follow.sdp_memory", follow.sdp_memory as u64, 1 << 20, 1 << 36);
        self.within("follow.tcp_buffer", follow.tcp_buffer as u64, 2_048, 1 << 24);
        let least = follow.tcp_buffer as u64;
        self.within("follow.tcp_memory", follow.tcp_memory as u64, least, 1 << 34);
        self.positive("follow.invite_timeout", follow.invite_timeout);
        self.positive("follow.request_timeout", follow.request_timeout);
        self.positive("follow.answered_timeout", follow.answered_timeout);
        self.within("follow.max_messages", follow.max_messages as u64, 0, 1_000);
        for (key, names) in [
            ("follow.headers", &follow.headers),
            ("follow.correlate", &follow.correlate),
        ] {
            self.holds(key, names.len() <= MAX_HEADERS, || {
                format!("{} headers are more than {MAX_HEADERS}", names.len())
            });
        }
    }

    fn spool(&mut self, config: &Config) {
        let spool = &config.spool;
        self.template(&spool.template);
        if !self
            .0
            .iter()
            .any(|problem| problem.key.as_deref() == Some("spool.template"))
            && let Err(error) = Names::new(&spool.template, "eth0")
        {
            self.wrong("spool.template", error.to_string());
        }
        self.holds(
            "spool.rotate_size",
            spool.rotate_size >= spool.chunk_size as u64,
            || format!("{} is below chunk_size ({})", spool.rotate_size, spool.chunk_size),
        );
        self.holds(
            "spool.rotate_interval",
            spool.rotate_interval > Duration::ZERO && spool.rotate_interval <= Duration::from_secs(86_400),
            || "must be longer than 0 and at most a day".to_owned(),
        );
        self.holds(
            "spool.max_total",
            spool.max_total == 0 || spool.max_total >= spool.rotate_size,
            || format!("{} is below rotate_size ({})", spool.max_total, spool.rotate_size),
        );
        self.positive("spool.flush_interval", spool.flush_interval);
        self.within("spool.chunk_size", spool.chunk_size as u64, 64 << 10, 1 << 30);
        self.within("spool.chunks", spool.chunks as u64, 2, 65_536);
        let bytes = (spool.chunks as u64).saturating_mul(spool.chunk_size as u64);
        self.holds("spool.chunks", bytes <= MAX_CHUNK_BYTES, || {
            format!("{bytes} bytes of chunks for each lane are more than {MAX_CHUNK_BYTES}")
        });
    }

    fn template(&mut self, template: &str) {
        let key = "spool.template";
        for needed in ["{time}", "{lane}"] {
            self.holds(key, template.contains(needed), || {
                format!("{template:?} lacks {needed}: two files could have the same name")
            });
        }
        self.holds(key, !template.contains(['/', '\0']), || {
            format!("{template:?} names a folder; that is spool.directory")
        });
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, behind)) = after.split_once('}') else {
                self.wrong(key, format!("{template:?} has a \"{{\" that is not closed"));
                return;
            };
            self.holds(key, PLACEHOLDERS.contains(&name), || {
                format!("{{{name}}} is not known; {{interface}}, {{lane}}, {{time}} and {{extension}} are")
            });
            self.holds(key, !before.contains('}'), || stray(template));
            rest = behind;
        }
        self.holds(key, !rest.contains('}'), || stray(template));
    }

    fn control(&mut self, config: &Config) {
        let control = &config.control;
        let length = control.socket.as_os_str().len();
        self.holds("control.socket", length <= SOCKET_PATH, || {
            format!("the path has {length} bytes, a socket's has at most {SOCKET_PATH}")
        });
        self.holds("control.mode", control.mode <= 0o777, || {
            format!("{:o} is above 777", control.mode)
        });
        self.within("control.max_clients", control.max_clients as u64, 1, 4_096);
        self.within("control.max_request", control.max_request as u64, 256, 1 << 20);
        self.positive("control.request_timeout", control.request_timeout);
        self.positive("control.idle_timeout", control.idle_timeout);
        self.positive("control.write_timeout", control.write_timeout);
    }
}

fn stray(template: &str) -> String {
    format!("{template:?} has a \"}}\" that closes nothing")
}

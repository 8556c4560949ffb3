//! A machine that runs the compiled kernel program outside of the kernel and counts what it executes. RFC 9669 is its manual, but
//! for the helpers, which are the kernel's (include/uapi/linux/bpf.h). It is slow, safe and stops at whatever it does not know:
//! a path of the program costs what it says on any machine, which no clock does.

mod maps;
mod memory;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use aya_obj::generated::bpf_insn;
use aya_obj::{Object, ProgramSection};
use maps::Map;
use memory::{Kind, Memory, PACKET};

/// Instructions of one run at most: far more than any path has, far less than an endless loop.
const LIMIT: u64 = 1_000_000;

/// Calls one in the other at most (MAX_CALL_FRAMES, include/linux/bpf_verifier.h).
const FRAMES: u32 = 8;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the program returned.
    pub action: u64,
    /// Instructions executed, those of callbacks included, those of the kernel's helpers not.
    pub instructions: u64,
    /// Calls of each helper, by its number in include/uapi/linux/bpf.h.
    pub helpers: BTreeMap<i32, u64>,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
    /// What it wrote in front of the frame (XDP metadata).
    pub metadata: Vec<u8>,
}

/// A program with its maps.
pub struct Machine {
    code: Vec<bpf_insn>,
    maps: Vec<Map>,
    memory: Memory,
    /// What bpf_ktime_get_ns returns.
    pub now: u64,
    executed: u64,
    helpers: BTreeMap<i32, u64>,
}

impl Machine {
    /// Loads the program `name` of an object file, its maps empty.
    pub fn load(object: &Path, name: &str) -> Self {
        let bytes = std::fs::read(object).unwrap_or_else(|error| panic!("{}: {error}", object.display()));
        let mut object = Object::parse(&bytes).expect("an object of BPF");
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let names: Vec<String> = object.maps.keys().cloned().collect();
        let maps = object.maps.clone();
        let numbered = names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.as_str(), at as i32, &maps[name]));
        object
            .relocate_maps(numbered, &text)
            .expect("maps that are in the object");
        object.relocate_calls(&text).expect("functions that are in the object");
        let program = &object.programs[name];
        let code = object.functions[&program.function_key()].instructions.clone();
        let kind = match program.section {
            ProgramSection::Xdp { .. } => Kind::Xdp,
            ProgramSection::SchedClassifier => Kind::Skb,
            ref other => panic!("{name} is a program of another kind: {other:?}"),
        };
        let mut memory = Memory::new(kind);
        let maps = names
            .iter()
            .map(|name| Map::new(name, &maps[name], &mut memory))
            .collect();
        Self {
            code,
            maps,
            memory,
            now: 0,
            executed: 0,
            helpers: BTreeMap::new(),
        }
    }

    /// Writes an entry of a map, as the daemon would.
    pub fn write(&mut self, map: &str, key: &[u8], value: &[u8]) {
        let map = self
            .maps
            .iter_mut()
            .find(|known| known.name == map)
            .expect("a map of that name");
        assert!(map.update(&mut self.memory, key, value), "map {} has no room", map.name);
    }

    /// Reads an entry of a map.
    pub fn read(&mut self, map: &str, key: &[u8]) -> Option<Vec<u8>> {
        let map = self
            .maps
            .iter_mut()
            .find(|known| known.name == map)
            .expect("a map of that name");
        let (at, length) = (map.lookup(key)?, map.value_size);
        Some(self.memory.bytes(at, length as u64).to_vec())
    }

    /// Empties a hash.
    pub fn clear(&mut self, map: &str) {
        let map = self.maps.iter_mut().find(|known| known.name == map);
        map.expect("a map of that name").clear();
    }

    /// Has the program decide on a frame that came on rx queue 0.
    pub fn run(&mut self, frame: &[u8]) -> Run {
        self.memory.set_packet(frame);
        self.executed = 0;
        self.helpers.clear();
        let action = self.call(0, [self.memory.context(), 0, 0, 0, 0], 0);
        Run {
            action,
            instructions: self.executed,
            helpers: std::mem::take(&mut self.helpers),
            frame: self.memory.packet().to_vec(),
            metadata: self.memory.metadata().to_vec(),
        }
    }

    /// Runs the function that begins at instruction `pc` until its exit.
    fn call(&mut self, mut pc: usize, arguments: [u64; 5], depth: u32) -> u64 {
        assert!(depth < FRAMES, "more than {FRAMES} calls one in the other");
        let mut registers = [0_u64; 11];
        registers[1..6].copy_from_slice(&arguments);
        registers[10] = Memory::stack_top(depth);
        loop {
            self.executed += 1;
            assert!(self.executed < LIMIT, "no end after {LIMIT} instructions");
            let insn = self.code[pc];
            let (dst, src) = (insn.dst_reg() as usize, insn.src_reg() as usize);
            let (code, off, imm) = (insn.code, i64::from(insn.off), i64::from(insn.imm));
            pc += 1;
            match code & 7 {
                // BPF_LD: the immediate of 64 bits takes two.
                0 => {
                    assert_eq!(code, 0x18, "instruction {code:#x} of packets");
                    let high = self.code[pc].imm;
                    registers[dst] = match src {
                        0 => u64::from(insn.imm.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32,
                        1 => maps::handle(insn.imm),
                        2 => self.maps[insn.imm as usize].first() + u64::from(high.cast_unsigned()),
                        4 => (pc as i64 + imm).cast_unsigned(),
                        other => panic!("immediate of kind {other}"),
                    };
                    pc += 1;
                }
                1 => {
                    let loaded = self.memory.load(registers[src].wrapping_add_signed(off), size(code));
                    registers[dst] = match code >> 5 {
                        3 => loaded,
                        4 => sign_extend(loaded, size(code)),
                        mode => panic!("load of mode {mode}"),
                    };
                }
                2 => self
                    .memory
                    .store(registers[dst].wrapping_add_signed(off), size(code), imm.cast_unsigned()),
                3 => match code >> 5 {
                    3 => self
                        .memory
                        .store(registers[dst].wrapping_add_signed(off), size(code), registers[src]),
                    6 => {
                        let at = registers[dst].wrapping_add_signed(off);
                        let fetched = self.atomic(at, size(code), insn.imm, registers[src], registers[0]);
                        if let Some(old) = fetched {
                            registers[if insn.imm == 0xf1 { 0 } else { src }] = old;
                        }
                    }
                    mode => panic!("store of mode {mode}"),
                },
                class @ (4 | 7) => {
                    let operand = if code & 8 != 0 {
                        registers[src]
                    } else {
                        imm.cast_unsigned()
                    };
                    registers[dst] = arithmetic(class == 7, code, registers[dst], operand, insn.off, insn.imm);
                }
                class @ (5 | 6) => match (code >> 4, class) {
                    (8, 5) => {
                        let arguments = [registers[1], registers[2], registers[3], registers[4], registers[5]];
                        registers[0] = match src {
                            0 => self.helper(insn.imm, arguments, depth),
                            1 => self.call((pc as i64 + imm) as usize, arguments, depth + 1),
                            other => panic!("call of kind {other}"),
                        };
                    }
                    (9, 5) => return registers[0],
                    (0, 5) => pc = (pc as i64 + off) as usize,
                    (0, 6) => pc = (pc as i64 + imm) as usize,
                    (condition, _) => {
                        let operand = if code & 8 != 0 {
                            registers[src]
                        } else {
                            imm.cast_unsigned()
                        };
                        if holds(condition, class == 5, registers[dst], operand) {
                            pc = (pc as i64 + off) as usize;
                        }
                    }
                },
                _ => unreachable!("three bits"),
            }
        }
    }

    /// An atomic operation; what it fetches, where it fetches.
    fn atomic(&mut self, at: u64, size: u64, operation: i32, operand: u64, compared: u64) -> Option<u64> {
        let old = self.memory.load(at, size);
        let new = match operation & !1 {
            0x00 => old.wrapping_add(operand),
            0x40 => old | operand,
            0x50 => old & operand,
            0xa0 => old ^ operand,
            0xe0 => operand,
            0xf0 if old == compared => operand,
            0xf0 => old,
            other => panic!("atomic operation {other:#x}"),
        };
        self.memory.store(at, size, new);
        (operation & 1 != 0).then_some(old)
    }

    /// What a helper does, as far as the programs here can tell.
    fn helper(&mut self, number: i32, [one, two, three, four, _]: [u64; 5], depth: u32) -> u64 {
        const REFUSED: u64 = (-22_i64).cast_unsigned();
        const NO_ENTRY: u64 = (-2_i64).cast_unsigned();
        *self.helpers.entry(number).or_default() += 1;
        match number {
            // bpf_map_lookup_elem
            1 => {
                let map = &mut self.maps[maps::index(one)];
                let key = self.memory.bytes(two, map.key_size as u64).to_vec();
                map.lookup(&key).unwrap_or(0)
            }
            // bpf_map_update_elem
            2 => {
                let map = &mut self.maps[maps::index(one)];
                let key = self.memory.bytes(two, map.key_size as u64).to_vec();
                let value = self.memory.bytes(three, map.value_size as u64).to_vec();
                if map.update(&mut self.memory, &key, &value) {
                    0
                } else {
                    REFUSED
                }
            }
            // bpf_map_delete_elem
            3 => {
                let map = &mut self.maps[maps::index(one)];
                let key = self.memory.bytes(two, map.key_size as u64).to_vec();
                if map.delete(&key) { 0 } else { REFUSED }
            }
            // bpf_ktime_get_ns
            5 => self.now,
            // bpf_get_smp_processor_id; bpf_ringbuf_submit and _discard.
            8 | 132 | 133 => 0,
            // bpf_map_pop_elem: nothing was ever given back.
            88 => NO_ENTRY,
            // bpf_ringbuf_reserve: there is always room.
            131 => self.memory.reserve(two),
            // bpf_redirect_map: XDP_REDIRECT where there is a socket, else what the flags say.
            51 => match self.maps[maps::index(one)].lookup(&(two as u32).to_ne_bytes()) {
                Some(_) => 4,
                None => three & 3,
            },
            // bpf_xdp_adjust_meta
            54 => self.memory.adjust_meta(two as i32).map_or(REFUSED, |()| 0),
            // bpf_xdp_adjust_tail
            65 => self.memory.adjust_tail(two as i32).map_or(REFUSED, |()| 0),
            // bpf_loop
            181 => {
                for round in 0..one {
                    if self.call(two as usize, [round, three, 0, 0, 0], depth + 1) != 0 {
                        return round + 1;
                    }
                }
                one
            }
            // bpf_xdp_get_buff_len
            188 => self.memory.packet().len() as u64,
            // bpf_skb_load_bytes, bpf_xdp_load_bytes
            26 | 189 => {
                let (at, length) = (two as usize, four as usize);
                match self.memory.packet().get(at..at + length) {
                    Some(_) => {
                        let bytes = self.memory.bytes(self.memory.data() + two, four).to_vec();
                        self.memory.copy(three, &bytes);
                        0
                    }
                    None => REFUSED,
                }
            }
            other => panic!("helper {other} is not known here"),
        }
    }
}

/// Bytes of a load or store.
fn size(code: u8) -> u64 {
    match code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    }
}

fn sign_extend(value: u64, size: u64) -> u64 {
    match size {
        1 => i64::from(value as i8).cast_unsigned(),
        2 => i64::from(value as i16).cast_unsigned(),
        _ => i64::from(value as i32).cast_unsigned(),
    }
}

/// RFC 9669 section 4.1.
fn arithmetic(wide: bool, code: u8, left: u64, right: u64, off: i16, imm: i32) -> u64 {
    let (a, b) = if wide {
        (left, right)
    } else {
        (left & 0xffff_ffff, right & 0xffff_ffff)
    };
    let bits = if wide { 63 } else { 31 };
    let signed = |value: u64| {
        if wide {
            value.cast_signed()
        } else {
            i64::from(value as i32)
        }
    };
    let result = match code >> 4 {
        0x0 => a.wrapping_add(b),
        0x1 => a.wrapping_sub(b),
        0x2 => a.wrapping_mul(b),
        0x3 if off == 1 => {
            if b == 0 {
                0
            } else {
                signed(a).wrapping_div(signed(b)).cast_unsigned()
            }
        }
        0x3 => a.checked_div(b).unwrap_or(0),
        0x4 => a | b,
        0x5 => a & b,
        0x6 => a << (b & bits),
        0x7 => a >> (b & bits),
        0x8 => a.wrapping_neg(),
        0x9 if off == 1 => {
            if b == 0 {
                a
            } else {
                signed(a).wrapping_rem(signed(b)).cast_unsigned()
            }
        }
        0x9 => {
            if b == 0 {
                a
            } else {
                a % b
            }
        }
        0xa => a ^ b,
        0xb => match off {
            0 => b,
            8 => sign_extend(b, 1),
            16 => sign_extend(b, 2),
            32 => sign_extend(b, 4),
            other => panic!("move of {other} bits"),
        },
        0xc => (signed(a) >> (b & bits)).cast_unsigned(),
        // To big endian, to little, or swapped whatever the host is.
        0xd => return end(code, wide, left, imm),
        other => panic!("arithmetic {other:#x}"),
    };
    if wide { result } else { result & 0xffff_ffff }
}

fn end(code: u8, swap: bool, value: u64, bits: i32) -> u64 {
    let swaps = swap || code & 8 != 0;
    match (bits, swaps) {
        (16, true) => u64::from((value as u16).swap_bytes()),
        (32, true) => u64::from((value as u32).swap_bytes()),
        (64, true) => value.swap_bytes(),
        (16, false) => u64::from(value as u16),
        (32, false) => u64::from(value as u32),
        (64, false) => value,
        (other, _) => panic!("byte order of {other} bits"),
    }
}

/// RFC 9669 section 4.3.
fn holds(condition: u8, wide: bool, left: u64, right: u64) -> bool {
    let (a, b) = if wide {
        (left, right)
    } else {
        (left & 0xffff_ffff, right & 0xffff_ffff)
    };
    let signed = |value: u64| {
        if wide {
            value.cast_signed()
        } else {
            i64::from(value as i32)
        }
    };
    match condition {
        0x1 => a == b,
        0x2 => a > b,
        0x3 => a >= b,
        0x4 => a & b != 0,
        0x5 => a != b,
        0x6 => signed(a) > signed(b),
        0x7 => signed(a) >= signed(b),
        0xa => a < b,
        0xb => a <= b,
        0xc => signed(a) < signed(b),
        0xd => signed(a) <= signed(b),
        other => panic!("condition {other:#x}"),
    }
}

const _: () = assert!(cfg!(target_endian = "little") && PACKET > 0);

//! Every system call of this directory, safe to call. What rustix offers is called through it elsewhere.

#![expect(unsafe_code, reason = "system calls that no crate in use wraps")]

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};

/// Opens a socket, closed on exec.
///
/// # Errors
/// The errno of socket(2); EPERM without CAP_NET_RAW.
pub fn socket(family: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes no memory.
    let fd = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a socket option to a plain structure.
///
/// # Errors
/// The errno of setsockopt(2).
pub fn set_option<T: Pod>(socket: impl AsFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let bytes = bytemuck::bytes_of(value);
    // SAFETY: the kernel reads `bytes.len()` bytes from `bytes`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            bytes.as_ptr().cast(),
            bytes.len() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Reads a socket option of the length of a plain structure.
///
/// # Errors
/// The errno of getsockopt(2); EINVAL where the kernel's structure is shorter, as an old kernel's may be.
pub fn get_option<T: Pod>(socket: impl AsFd, level: i32, name: i32) -> io::Result<T> {
    let mut value = T::zeroed();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `value`; any bytes are a valid Pod.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            bytemuck::bytes_of_mut(&mut value).as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if length as usize != size_of::<T>() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(value)
}

/// Binds a socket to an address structure of its family.
///
/// # Errors
/// The errno of bind(2). For AF_XDP (xsk_bind, net/xdp/xsk.c) EBUSY while another socket has the queue, EOPNOTSUPP where
/// the driver lacks the mode, EINVAL for a queue that is not there.
pub fn bind<T: Pod>(socket: impl AsFd, address: &T) -> io::Result<()> {
    // SAFETY: the kernel reads the structure, whose size it is told, and which has no padding.
    let result = unsafe {
        libc::bind(
            socket.as_fd().as_raw_fd(),
            std::ptr::from_ref(address).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives a socket a filter in place of the one it has (SO_ATTACH_FILTER, socket(7)).
///
/// # Errors
/// The errno of setsockopt(2); EINVAL for no filter, or one that the kernel does not take.
pub fn attach_filter(socket: impl AsFd, filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?,
        // Only read (copy_bpf_fprog_from_user and bpf_prog_create_from_user, net/core).
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the structure and the instructions it points to, as many as it says; both outlive the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            std::ptr::from_ref(&program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Has the driver look at the fill ring again: recvfrom(2) with nothing to receive into, xsk_recvmsg in net/xdp/xsk.c.
///
/// # Errors
/// ENETDOWN or ENXIO when the interface is down or gone.
pub fn wake(socket: impl AsFd) -> io::Result<()> {
    // SAFETY: a null buffer of length 0; the kernel writes nothing.
    let result = unsafe {
        libc::recvfrom(
            socket.as_fd().as_raw_fd(),
            std::ptr::null_mut(),
            0,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    if result >= 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `struct sched_attr` of include/uapi/linux/sched/types.h, as far as its first version goes.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Gives the calling thread, where it is an ordinary one (SCHED_OTHER), a niceness and a slice; to whom somebody gave another policy,
/// nothing. One that wakes goes before whoever runs if that one's slice is longer (PREEMPT_SHORT, kernel/sched/features.h); else it
/// may wait for its end, which is looked at once a tick. Kernels before 6.12 have the same slice for all.
///
/// # Errors
/// The errno of sched_setattr(2); EPERM where the niceness falls, without CAP_SYS_NICE.
pub fn go_before_others(niceness: i32, slice: Duration) -> io::Result<()> {
    // SAFETY: takes no memory. 0 is the calling thread.
    if unsafe { libc::sched_getscheduler(0) } != libc::SCHED_OTHER {
        return Ok(());
    }
    let attributes = SchedAttr {
        size: size_of::<SchedAttr>() as u32,
        policy: libc::SCHED_OTHER as u32,
        nice: niceness,
        runtime: slice.as_nanos() as u64,
        ..SchedAttr::zeroed()
    };
    // SAFETY: the kernel reads as many bytes as `size` says, those of `attributes`, which outlives the call. 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes the pages at `addresses`, which begin with a page, as if each had been written to, and leaves what is in them
/// (MADV_POPULATE_WRITE, madvise(2)).
///
/// # Errors
/// The errno of madvise(2); EINVAL of a kernel before 5.14, ENOMEM where nothing is mapped or memory is short.
pub fn populate(addresses: Range<usize>) -> io::Result<()> {
    // SAFETY: no byte changes, whoever's it is: a page that was never touched is zeroed now and not when it is. What is not
    // mapped is an error.
    let result = unsafe {
        libc::madvise(
            std::ptr::without_provenance_mut(addresses.start),
            addresses.len(),
            libc::MADV_POPULATE_WRITE,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// An address of an interface, as getifaddrs(3) lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's name.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// The IP addresses of all interfaces in this network namespace.
///
/// # Errors
/// The errno of getifaddrs(3).
pub fn interface_addresses() -> io::Result<Vec<InterfaceAddress>> {
    let mut first = std::ptr::null_mut();
    // SAFETY: the C library stores the head of a list it allocates.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut next = NonNull::new(first);
    while let Some(entry) = next {
        // SAFETY: an entry of the list, which is freed only behind this loop.
        let entry = unsafe { entry.as_ref() };
        next = NonNull::new(entry.ifa_next);
        let Some(address) = NonNull::new(entry.ifa_addr).and_then(ip_address) else {
            continue;
        };
        // SAFETY: getifaddrs(3) gives every entry a name that ends in 0 and lives as long as the list.
        let name = unsafe { std::ffi::CStr::from_ptr(entry.ifa_name) };
        found.push(InterfaceAddress {
            interface: name.to_string_lossy().into_owned(),
            address,
        });
    }
    // SAFETY: the list came from getifaddrs, nothing points into it any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(found)
}

/// The IP address in a socket address, if it is one.
fn ip_address(address: NonNull<libc::sockaddr>) -> Option<IpAddr> {
    // SAFETY: every socket address begins with its family.
    let family = unsafe { address.as_ref() }.sa_family;
    match i32::from(family) {
        libc::AF_INET => {
            // SAFETY: the family says that the structure is this one; the C library aligns it for any.
            let address = unsafe { address.cast::<libc::sockaddr_in>().as_ref() };
            Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { address.cast::<libc::sockaddr_in6>().as_ref() };
            Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_made_ready_keep_what_is_in_them() {
        let page = 4096;
        let list = vec![7_u8; 8 * page];
        let begin = list.as_ptr().addr().next_multiple_of(page);
        populate(begin..begin + 6 * page).unwrap();
        assert!(list.iter().all(|byte| *byte == 7));
        // Nothing is ever mapped there (vm.mmap_min_addr, and no null pointer).
        assert_eq!(populate(0..page).unwrap_err().raw_os_error(), Some(libc::ENOMEM));
    }

    #[test]
    fn an_error_is_the_errno_of_the_call() {
        assert_eq!(socket(-1).unwrap_err().raw_os_error(), Some(libc::EAFNOSUPPORT));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(wake(&file).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
        let option = get_option::<u32>(&file, libc::SOL_SOCKET, libc::SO_TYPE);
        assert_eq!(option.unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
    }
}

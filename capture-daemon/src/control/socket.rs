//! The file of the Unix socket: made with the right permissions, taken over from a dead daemon, removed at the end.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connections the kernel holds before they are accepted.
const BACKLOG: i32 = 128;

/// Why the control socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon answers there.
    #[error(
        "the control socket {} is in use by a running siphon; stop that one (`siphon stop --socket {}`), or set control.socket to another path",
        .0.display(),
        .0.display()
    )]
    InUse(PathBuf),
    /// The path is something else.
    #[error("the control socket {} cannot be made: there is a file of that name that is no socket", .0.display())]
    NotASocket(PathBuf),
    /// A system call failed.
    #[error("the control socket {}: {operation}: {source}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What was being done.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The socket's name in the file system; dropping it removes the file, unless another one is there by now.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Ok(found) = std::fs::symlink_metadata(&self.path)
            && (found.dev(), found.ino()) == (self.device, self.inode)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!("removing the control socket {}: {error}", self.path.display());
        }
    }
}

/// Makes the socket at `path` with the permission bits `mode`, and its folder where that is missing.
///
/// Clients are let in last: between bind(2) and listen(2), while the permissions are those of the umask, connect(2)
/// is refused (unix_stream_connect, net/unix/af_unix.c).
pub(super) fn bind(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), SocketError> {
    let failed = |operation| {
        move |source: io::Error| SocketError::System {
            path: path.to_owned(),
            operation,
            source,
        }
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(failed("making its folder"))?;
    }
    clear(path)?;
    let address = SocketAddrUnix::new(path).map_err(|errno| failed("its path")(errno.into()))?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(|errno| failed("socket")(errno.into()))?;
    rustix::net::bind(&socket, &address).map_err(|errno| failed("bind")(errno.into()))?;
    let found = std::fs::symlink_metadata(path).map_err(failed("reading its inode"))?;
    let file = SocketFile {
        path: path.to_owned(),
        device: found.dev(),
        inode: found.ino(),
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed("setting its mode"))?;
    rustix::net::listen(&socket, BACKLOG).map_err(|errno| failed("listen")(errno.into()))?;
    Ok((UnixListener::from(socket), file))
}

/// Removes what a dead daemon left at `path`; a living one, or a file that is no socket, is left alone.
fn clear(path: &Path) -> Result<(), SocketError> {
    let failed = |operation, source| SocketError::System {
        path: path.to_owned(),
        operation,
        source,
    };
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("looking for a leftover", error)),
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!("removing the control socket of a dead daemon, {}", path.display());
            std::fs::remove_file(path).map_err(|source| failed("removing a leftover", source))
        }
        Err(error) => Err(failed("asking whether a daemon answers", error)),
    }
}

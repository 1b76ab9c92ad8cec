//! A serial device of this host, or a pty: raw, eight bits, no parity, one
//! stop bit, no flow control.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, ensure};
use rustix::{
    fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open as open_file},
    termios::{ControlModes, OptionalActions, ioctl_tiocexcl, isatty, tcgetattr, tcsetattr},
};

use super::counters::Counters;

/// An open device.
pub struct Device {
    file: File,
    counters: Arc<Counters>,
}

/// Opens a device at a speed in bits per second.
///
/// # Errors
/// It is not there, no serial line, in use, or does not know the speed.
pub fn open(path: &Path, baud: u32, counters: Arc<Counters>) -> anyhow::Result<Device> {
    // Without waiting for a carrier, which few boards have.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open_file(path, flags, Mode::empty())?);
    ensure!(
        isatty(&file),
        "no serial line; allowed: a device, a pty, tcp:HOST:PORT, telnet:HOST:PORT"
    );
    // Two readers would each get half.
    ioctl_tiocexcl(&file)?;
    let mut settings = tcgetattr(&file)?;
    settings.make_raw();
    settings.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL;
    // With HUPCL, closing would drop DTR, which resets some boards.
    settings.control_modes -= ControlModes::CSTOPB | ControlModes::CRTSCTS | ControlModes::HUPCL;
    settings
        .set_speed(baud)
        .and_then(|()| tcsetattr(&file, OptionalActions::Now, &settings))
        .with_context(|| format!("--baud: {baud}"))?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    counters.begin(&file);
    Ok(Device { file, counters })
}

impl Device {
    /// The same line, to write to.
    ///
    /// # Errors
    /// The host has no room for one more open file.
    pub fn writer(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Read for Device {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(bytes);
        self.counters.look(&self.file);
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::{io::Write, os::unix::ffi::OsStrExt, path::PathBuf};

    fn pty() -> (File, PathBuf) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let name = PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));
        (File::from(master), name)
    }

    #[test]
    fn bytes_come_as_they_were_sent() {
        let (mut master, name) = pty();
        let counters = Arc::<Counters>::default();
        let mut device = open(&name, 9600, Arc::clone(&counters)).unwrap();
        // What a terminal would translate, act on, or echo.
        let sent = b"\r\n\x03\x04\x11\x13\x00\xff\x7f\x1a";
        master.write_all(sent).unwrap();
        let mut came = Vec::new();
        while came.len() < sent.len() {
            let mut bytes = [0; 64];
            let read = device.read(&mut bytes).unwrap();
            came.extend_from_slice(&bytes[..read]);
        }
        assert_eq!(came, sent);
        assert_eq!(tcgetattr(&device.file).unwrap().output_speed(), 9600);
        // A pty has no UART that counts.
        assert_eq!(counters.lost(), None);
        drop(master);
        // Lost, as one kernel or another says it.
        assert!(matches!(device.read(&mut [0; 8]), Ok(0) | Err(_)));
    }

    #[test]
    fn what_is_no_serial_line_is_refused() {
        let error = |path: &str| {
            let opened = open(Path::new(path), 9600, Arc::default());
            format!("{:#}", opened.err().unwrap())
        };
        assert!(error("/dev/null").contains("no serial line"));
        assert!(error("/nonexistent/tty").contains("No such file"));
    }
}

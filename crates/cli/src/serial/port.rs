//! Where a serial line is, and reading it for as long as it takes: when it is
//! lost, it is opened again.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use anyhow::bail;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle};

use super::{counters::Counters, device, telnet::Telnet};
use crate::run::watch::Heard;

/// The speed that nearly every board's firmware uses.
const BAUD: u32 = 115_200;

/// The time between two attempts to find a lost line.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a console server may take to answer.
const CONNECTING: Duration = Duration::from_secs(10);

/// After this much silence the other end is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A serial line's place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Port {
    /// A device of this host, or a pty.
    Device(PathBuf),
    /// Bytes as they are, from HOST:PORT.
    Tcp(String),
    /// A telnet server at HOST:PORT.
    Telnet(String),
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = |text: &str| match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0) => {
                Ok(text.to_string())
            }
            _ => Err("allowed after tcp: and telnet: is HOST:PORT, PORT 1 to 65535".to_string()),
        };
        if let Some(text) = text.strip_prefix("tcp:") {
            address(text).map(Self::Tcp)
        } else if let Some(text) = text.strip_prefix("telnet:") {
            address(text).map(Self::Telnet)
        } else if text.is_empty() {
            Err("allowed: a device, tcp:HOST:PORT, telnet:HOST:PORT".to_string())
        } else {
            Ok(Self::Device(text.into()))
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Telnet(address) => write!(f, "telnet:{address}"),
        }
    }
}

/// A line that is being read: 0 bytes or an error when it is lost.
type Source = dyn Read + Send;

/// Writes to a line while it is open.
pub struct Voice(Mutex<Option<Mouth>>);

enum Mouth {
    Device(File),
    Socket(TcpStream),
}

impl Voice {
    fn set(&self, mouth: Mouth) {
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some(mouth);
        }
    }

    /// Writes to the line. A request that is lost is repeated, so failures do not matter.
    pub fn say(&self, text: &str) {
        if let Ok(mut slot) = self.0.lock() {
            let _ = match slot.as_mut() {
                Some(Mouth::Device(file)) => file.write_all(text.as_bytes()),
                Some(Mouth::Socket(stream)) => stream.write_all(text.as_bytes()),
                None => Ok(()),
            };
        }
    }
}

/// A line with its speed.
pub struct Line {
    port: Port,
    baud: u32,
    counters: Arc<Counters>,
    voice: Arc<Voice>,
}

impl Line {
    /// Takes a place and, for a device, its speed.
    ///
    /// # Errors
    /// A speed where there is none.
    pub fn new(port: Port, baud: Option<u32>) -> anyhow::Result<Self> {
        if let (Some(baud), Port::Tcp(_) | Port::Telnet(_)) = (baud, &port) {
            bail!("--baud: {baud} with {port}, whose speed is its server's; allowed with a device");
        }
        Ok(Self {
            port,
            baud: baud.unwrap_or(BAUD),
            counters: Arc::default(),
            voice: Arc::new(Voice(Mutex::new(None))),
        })
    }

    /// What is being read, for `run.json`.
    pub fn words(&self) -> Vec<String> {
        let speed = matches!(self.port, Port::Device(_)).then(|| format!("{} 8N1", self.baud));
        [self.port.to_string()].into_iter().chain(speed).collect()
    }

    /// What this host's UART counts, from now on.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// What writes to the line, whenever it is open.
    pub fn voice(&self) -> Arc<Voice> {
        Arc::clone(&self.voice)
    }

    /// Opens the line.
    ///
    /// # Errors
    /// It is not there, or is no serial line.
    pub fn open(&self) -> anyhow::Result<Box<Source>> {
        Ok(match &self.port {
            Port::Device(path) => {
                let device = device::open(path, self.baud, Arc::clone(&self.counters))?;
                self.voice.set(Mouth::Device(device.writer()?));
                Box::new(device)
            }
            Port::Tcp(address) => Box::new(self.connect(address)?),
            Port::Telnet(address) => Box::new(Terminal {
                stream: self.connect(address)?,
                telnet: Telnet::default(),
            }),
        })
    }

    fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let stream = connect(address)?;
        self.voice.set(Mouth::Socket(stream.try_clone()?));
        Ok(stream)
    }

    /// Reads on a thread of its own, for as long as anybody listens.
    pub fn read(self, first: Box<Source>) -> Receiver<Heard> {
        let (sender, receiver) = sync_channel(16);
        thread::spawn(move || {
            let mut source = first;
            while read_to_end(source.as_mut(), &sender) && sender.send(Heard::Cut).is_ok() {
                source = loop {
                    thread::sleep(PAUSE);
                    if let Ok(source) = self.open() {
                        break source;
                    }
                };
                if sender.send(Heard::Back).is_err() {
                    break;
                }
            }
        });
        receiver
    }
}

/// Reads until the line is lost; `false` where nobody listens any more.
fn read_to_end(source: &mut Source, sender: &SyncSender<Heard>) -> bool {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        match source.read(&mut bytes) {
            Ok(0) => return true,
            Ok(n) => {
                if sender.send(Heard::Bytes(bytes[..n].to_vec())).is_err() {
                    return false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(stream) => {
                // So that a server that vanished without a word is noticed.
                set_socket_keepalive(&stream, true)?;
                set_tcp_keepidle(&stream, KEEPALIVE)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A stream with telnet's commands in it, which are answered.
struct Terminal {
    stream: TcpStream,
    telnet: Telnet,
}

impl Read for Terminal {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.stream.read(bytes)?;
            let mut answer = Vec::new();
            let text = self.telnet.take(&mut bytes[..read], &mut answer);
            self.stream.write_all(&answer)?;
            // Nothing but commands is not the end.
            if read == 0 || text > 0 {
                return Ok(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let device = |path: &str| Ok(Port::Device(path.into()));
        for (text, port) in [
            ("/dev/ttyUSB0", device("/dev/ttyUSB0")),
            ("ttyS0", device("ttyS0")),
            ("tcp:bmc:4001", Ok(Port::Tcp("bmc:4001".into()))),
            ("telnet:[::1]:23", Ok(Port::Telnet("[::1]:23".into()))),
        ] {
            assert_eq!(Port::from_str(text), port);
            assert_eq!(Port::from_str(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "tcp:",
            "tcp:host",
            "tcp::1",
            "tcp:host:0",
            "telnet:h:65536",
        ] {
            assert!(Port::from_str(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_device_has_a_speed() {
        let line = |text: &str, baud| Line::new(text.parse().unwrap(), baud);
        assert_eq!(
            line("/dev/ttyS0", Some(9600)).unwrap().words(),
            ["/dev/ttyS0", "9600 8N1"]
        );
        assert_eq!(line("tcp:h:1", None).unwrap().words(), ["tcp:h:1"]);
        let error = line("tcp:h:1", Some(9600)).err().unwrap().to_string();
        assert!(error.contains("--baud: 9600"), "{error}");
    }
}

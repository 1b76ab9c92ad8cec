//! The image cannot write its code or constants, execute its data, or go beyond a stack:
//! each is tried. A debugger has the running image itself do it, by its own registers; what
//! the image then reports is looked at.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use object::{
    Endianness,
    elf::{FileHeader64, SHT_SYMTAB},
    read::elf::{FileHeader, Sym},
};

use crate::{
    dist::built,
    fake::{Ended, stalecore},
    host,
};

/// QEMU's debugger stub, as far as it is needed (GDB's remote protocol).
struct Stub(UnixStream);

/// The stub's numbers of registers.
const SP: u8 = 31;
const PC: u8 = 32;

impl Stub {
    /// Stops the machine.
    fn connect(path: &Path) -> Self {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => {
                    stream
                        .set_read_timeout(Some(Duration::from_secs(20)))
                        .unwrap();
                    let mut stub = Self(stream);
                    // It reads and writes single registers only for who has asked this.
                    stub.ask("qXfer:features:read:target.xml:0,40");
                    return stub;
                }
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask(&mut self, words: &str) -> String {
        let sum = words.bytes().fold(0_u8, |sum, byte| sum.wrapping_add(byte));
        self.0
            .write_all(format!("${words}#{sum:02x}").as_bytes())
            .unwrap();
        // That the machine stopped is told when it does, and is no answer.
        loop {
            let answer = self.packet();
            if !answer.starts_with('T') {
                return answer;
            }
        }
    }

    fn packet(&mut self) -> String {
        let mut packet = Vec::new();
        let mut byte = [0];
        while packet.len() < 3 || packet[packet.len() - 3] != b'#' {
            self.0.read_exact(&mut byte).unwrap();
            // Acknowledgements, before the answer.
            if !(packet.is_empty() && byte[0] == b'+') {
                packet.push(byte[0]);
            }
        }
        // Behind the last answer the machine goes on, and may have ended by now.
        let _ = self.0.write_all(b"+");
        String::from_utf8(packet[1..packet.len() - 3].to_vec()).unwrap()
    }

    fn register(&mut self, number: u8) -> u64 {
        let answer = self.ask(&format!("p{number:x}"));
        u64::from_str_radix(&answer, 16).unwrap().swap_bytes()
    }

    fn set(&mut self, number: u8, value: u64) {
        let answer = self.ask(&format!("P{number:x}={:016x}", value.swap_bytes()));
        assert_eq!(answer, "OK");
    }

    /// Is this mapped where the machine stands?
    fn is_mapped(&mut self, address: u64) -> bool {
        !self.ask(&format!("m{address:x},1")).starts_with('E')
    }
}

/// What is tried, and the words of the report.
#[derive(Clone, Copy, Debug)]
enum Try {
    Store(Place),
    Run(Place),
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Code,
    Constants,
    Data,
    Stack,
    BelowStack,
}

/// Addresses of the image's symbols, from its start, and its bytes.
struct Image {
    elf: Vec<u8>,
    flat: Vec<u8>,
}

impl Image {
    fn symbol(&self, name: &str) -> u64 {
        let header = FileHeader64::<Endianness>::parse(&*self.elf).unwrap();
        let endian = header.endian().unwrap();
        let sections = header.sections(endian, &*self.elf).unwrap();
        let table = sections.symbols(endian, &*self.elf, SHT_SYMTAB).unwrap();
        let found = table
            .iter()
            .find(|symbol| symbol.name(endian, table.strings()) == Ok(name.as_bytes()));
        found
            .unwrap_or_else(|| panic!("no {name}"))
            .st_value(endian)
    }

    /// A `str x, [y]` of the compiled code: where, and the number of y.
    fn store(&self) -> (u64, u8) {
        let end = self.symbol("routines_start") as usize;
        let words = self.flat[..end].chunks_exact(4).enumerate();
        let mut stores = words.filter_map(|(nth, word)| {
            let word = u32::from_le_bytes(word.try_into().unwrap());
            let to = (word >> 5 & 31) as u8;
            (word & 0xffff_fc00 == 0xf900_0000 && to != SP).then_some((nth as u64 * 4, to))
        });
        stores.next_back().unwrap()
    }
}

/// Boots the image, which hangs in a self-test; has it try; gives the end, the console and the
/// address that was tried.
fn attempt(image: &Image, what: Try) -> (Ended, String, u64) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("gdb");
    let _shares = host::of(2);
    let mut command = stalecore();
    command
        .args([
            "run",
            "--cpus",
            "2",
            "--mem",
            "128M",
            "--stale",
            "spin",
            "--sentinel",
            "off",
        ])
        .args([
            "--ops",
            "selftest-hang",
            "--deadline-ms",
            "60000",
            "--image",
        ])
        .arg(built("stalecore.img"))
        .args([
            "--qemu-arg=-gdb".into(),
            format!("--qemu-arg=unix:{},server=on,wait=off", socket.display()),
        ])
        .arg("--out")
        .arg(dir.path().join("out"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let hang = image.symbol("selftest_hang_here");
    let until = Instant::now() + Duration::from_secs(60);
    let mut stub = Stub::connect(&socket);
    let base = loop {
        assert_eq!(stub.ask("Hg1"), "OK");
        let pc = stub.register(PC);
        // The image is loaded at a boundary of 2 MiB.
        if pc % (2 << 20) == hang {
            break pc - hang;
        }
        assert!(Instant::now() < until, "at {pc:#x}");
        stub.ask("D");
        drop(stub);
        thread::sleep(Duration::from_millis(50));
        stub = Stub::connect(&socket);
    };
    let sp = stub.register(SP);
    let place = |stub: &mut Stub, place| match place {
        Place::Code => base + image.symbol("text_start") + 0x800,
        Place::Constants => base + image.symbol("rodata_start") + 0x40,
        Place::Data => base + image.symbol("data_start") + 0x40,
        Place::Stack => sp & !0xf,
        Place::BelowStack => {
            // The largest stack is 256 KiB.
            let mut pages = (1..=64).map(|nth| (sp & !0xfff) - nth * 0x1000);
            pages.find(|page| !stub.is_mapped(*page)).unwrap() + 0xff8
        }
    };
    let address = match what {
        Try::Store(at) => {
            let address = place(&mut stub, at);
            let (store, register) = image.store();
            stub.set(register, address);
            stub.set(PC, base + store);
            address
        }
        Try::Run(at) => {
            let address = place(&mut stub, at);
            stub.set(PC, address);
            address
        }
    };
    stub.ask("D");
    let ended = Ended::from(child.wait_with_output().unwrap());
    let console = fs::read_to_string(dir.path().join("out/console.log")).unwrap();
    (ended, console, address)
}

#[test]
fn code_cannot_be_written_data_not_executed_and_no_stack_left() {
    let image = Image {
        elf: fs::read(built("stalecore.elf")).unwrap(),
        flat: fs::read(built("stalecore.img")).unwrap(),
    };
    for (what, words) in [
        (Try::Store(Place::Code), "data abort, permission fault"),
        (Try::Store(Place::Constants), "data abort, permission fault"),
        (
            Try::Store(Place::BelowStack),
            "data abort, translation fault",
        ),
        (Try::Run(Place::Data), "instruction abort, permission fault"),
        (
            Try::Run(Place::Stack),
            "instruction abort, permission fault",
        ),
        (
            Try::Run(Place::Constants),
            "instruction abort, permission fault",
        ),
    ] {
        let (ended, said, address) = attempt(&image, what);
        assert_eq!(ended.code, 2, "{what:?}: {ended:?}");
        for part in [words, &format!("far {address:#x}")] {
            assert!(said.contains(part), "{what:?} at {address:#x}: {said}");
        }
    }
}

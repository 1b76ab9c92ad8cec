//! What is asked of Linux: each call once, with what it may do wrong.

#![expect(unsafe_code, reason = "system calls")]

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::atomic::AtomicU64,
};

use stalecore_model::cpuset::{CpuSet, MAX_CPUS};

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        other => Ok(other),
    }
}

/// The CPUs that this thread may run on: what cpusets leave.
///
/// # Errors
/// Those of `sched_getaffinity`.
pub fn allowed() -> io::Result<CpuSet> {
    // SAFETY: a set of CPUs is plain bits; all zeros is the empty one.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: the kernel writes no more than the size that it is told.
    checked(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) })?;
    // SAFETY: below the size of the set.
    let is_set = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    Ok((0..MAX_CPUS).filter(is_set).collect())
}

/// Binds a thread, by its number (0 is this one), to a CPU.
///
/// # Errors
/// The CPU is not there, or not allowed any more.
pub fn pin(thread: i32, cpu: usize) -> io::Result<()> {
    // SAFETY: as above.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: `cpu` is below MAX_CPUS, which is less than the set has bits.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the kernel reads the set.
    checked(unsafe { libc::sched_setaffinity(thread, size_of_val(&set), &raw const set) })?;
    Ok(())
}

/// This thread's number.
pub fn thread() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::gettid() }
}

/// Makes this thread one that no ordinary one preempts.
///
/// # Errors
/// It may not.
pub fn fifo() -> io::Result<()> {
    // SAFETY: plain numbers.
    let mut how: libc::sched_param = unsafe { core::mem::zeroed() };
    how.sched_priority = 1;
    // SAFETY: the kernel reads the parameters. By its own call, as musl's has no such.
    let done = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_FIFO,
            &raw const how,
        )
    };
    checked(done as libc::c_int).map(drop)
}

/// How often this thread has been taken off its CPU, of its own will or not.
pub fn switches() -> i64 {
    // SAFETY: counters.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    // SAFETY: the kernel writes one of these.
    match unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) } {
        0 => usage.ru_nvcsw + usage.ru_nivcsw,
        _ => 0,
    }
}

/// The cheapest call of the kernel: what any trap takes at least.
pub fn null_call() {
    // SAFETY: no arguments, no effect.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// Is this root?
pub fn is_root() -> bool {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Does the kernel read identification registers for EL0 (Linux's
/// `Documentation/arch/arm64/cpu-feature-registers.rst`)?
pub fn reads_id_registers() -> bool {
    const HWCAP_CPUID: libc::c_ulong = 1 << 11;
    // SAFETY: reads the auxiliary vector; what is not in it is 0.
    unsafe { libc::getauxval(libc::AT_HWCAP) & HWCAP_CPUID != 0 }
}

/// Memory of this program's own until it ends, zeros, of so many bytes.
///
/// # Errors
/// There is none, or none that may be written and executed.
pub fn memory(bytes: usize, executable: bool) -> io::Result<&'static [AtomicU64]> {
    let execute = if executable { libc::PROT_EXEC } else { 0 };
    // SAFETY: a new mapping, at an address that nobody has.
    let at = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE | execute,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: mapped, zeroed, aligned as pages are, and never unmapped.
    Ok(unsafe {
        core::slice::from_raw_parts(at.cast::<AtomicU64>(), bytes / size_of::<AtomicU64>())
    })
}

/// Memory for code, zeros.
pub struct Code {
    /// Where it is written.
    pub words: &'static [AtomicU64],
    /// Where it is executed: the same, or the same memory at another address.
    pub executed: usize,
}

impl Code {
    /// Memory of so many bytes; where none may be both written and executed (SELinux's
    /// execmem, `PR_SET_MDWE`, systemd's MemoryDenyWriteExecute), memory at two addresses.
    ///
    /// # Errors
    /// There is none.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let once = memory(bytes, true).map(|words| Self {
            words,
            executed: words.as_ptr() as usize,
        });
        once.or_else(|_| Self::twice(bytes))
    }

    /// At two addresses: one that may be written, one that may be executed.
    ///
    /// # Errors
    /// Those of `memfd_create` and `mmap`.
    pub fn twice(bytes: usize) -> io::Result<Self> {
        // SAFETY: a name that ends.
        let file = checked(unsafe { libc::memfd_create(c"code".as_ptr(), libc::MFD_CLOEXEC) })?;
        // SAFETY: just opened, and nobody else's.
        let file = unsafe { OwnedFd::from_raw_fd(file) };
        let file = File::from(file);
        file.set_len(bytes as u64)?;
        let map = |access: libc::c_int| {
            // SAFETY: a new mapping, at an address that nobody has.
            let at = unsafe {
                libc::mmap(
                    core::ptr::null_mut(),
                    bytes,
                    libc::PROT_READ | access,
                    libc::MAP_SHARED | libc::MAP_POPULATE,
                    file.as_raw_fd(),
                    0,
                )
            };
            match at {
                libc::MAP_FAILED => Err(io::Error::last_os_error()),
                at => Ok(at),
            }
        };
        let executed = map(libc::PROT_EXEC)? as usize;
        let words = map(libc::PROT_WRITE)?.cast::<AtomicU64>();
        // SAFETY: mapped, zeroed, aligned as pages are, and never unmapped; nobody else has
        // the file.
        let words = unsafe { core::slice::from_raw_parts(words, bytes / size_of::<AtomicU64>()) };
        Ok(Self { words, executed })
    }
}

/// What `fork` gives.
pub enum Side {
    /// In the new process.
    Child,
    /// In the old one, with the new one's number.
    Parent(i32),
}

/// Makes a second process of this one, which has one thread.
///
/// # Errors
/// Those of `fork`.
pub fn fork() -> io::Result<Side> {
    // SAFETY: there is one thread, so no lock is held by another.
    Ok(match checked(unsafe { libc::fork() })? {
        0 => Side::Child,
        child => Side::Parent(child),
    })
}

/// Ends this process, and whatever its threads do.
pub fn leave(code: i32) -> ! {
    // SAFETY: nothing is left to be done.
    unsafe { libc::_exit(code) }
}

/// Puts this process into a group of its own, in which no Ctrl-C reaches it, and has the
/// kernel end it when `parent` is gone.
///
/// # Errors
/// The parent is gone already.
pub fn die_with(parent: i32) -> io::Result<()> {
    // SAFETY: numbers.
    checked(unsafe { libc::setpgid(0, 0) })?;
    // SAFETY: numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    // SAFETY: no arguments, cannot fail.
    if unsafe { libc::getppid() } == parent {
        Ok(())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Cuts this process off from the terminal and who may signal its group.
pub fn own_session() {
    // SAFETY: no arguments; fails only if it is done already.
    unsafe { libc::setsid() };
}

/// This process.
pub fn process() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::getpid() }
}

/// A pipe: what is read, what is written.
///
/// # Errors
/// Those of `pipe2`.
pub fn pipe() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two numbers.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just opened them, and nobody else knows them.
    let [read, write] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    Ok((read.into(), write.into()))
}

/// Makes a file this process's standard output.
///
/// # Errors
/// Those of `dup2`.
pub fn speak_into(file: &File) -> io::Result<()> {
    // SAFETY: both are open.
    checked(unsafe { libc::dup2(file.as_raw_fd(), libc::STDOUT_FILENO) })?;
    Ok(())
}

/// How a child has ended, or `None` while it has not: the status of `waitpid`.
///
/// # Errors
/// Those of `waitpid`.
pub fn ended(child: i32) -> io::Result<Option<i32>> {
    let mut status = 0;
    // SAFETY: the kernel writes one number.
    let who = checked(unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) })?;
    Ok((who == child).then_some(status))
}

/// Kills a process and what is in its group.
pub fn kill(child: i32) {
    // SAFETY: numbers; who is gone need not be killed.
    unsafe { libc::kill(-child, libc::SIGKILL) };
    // SAFETY: it may not have its group yet.
    unsafe { libc::kill(child, libc::SIGKILL) };
}

//! What page tables say about memory: may caches hold it?

/// The type of memory: the weakest that any stage gives it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Memory {
    /// Device: no cache holds it.
    Device,
    /// Normal Non-cacheable.
    NonCacheable,
    /// Normal Write-Through: caches hold it, and are never dirty.
    WriteThrough,
    /// Normal Write-Back.
    WriteBack,
}

impl Memory {
    /// May a cache hold it?
    pub const fn is_cached(self) -> bool {
        matches!(self, Self::WriteThrough | Self::WriteBack)
    }

    /// From an attribute byte of MAIR.
    pub fn from_mair(attribute: u8) -> Self {
        let half = |nibble: u8| match nibble {
            0 => Self::Device,
            4 => Self::NonCacheable,
            // 00RW and 10RW are Write-Through, 01RW and 11RW Write-Back.
            n if n & 4 == 0 => Self::WriteThrough,
            _ => Self::WriteBack,
        };
        let (outer, inner) = (half(attribute >> 4), half(attribute & 15));
        match (outer, inner) {
            (Self::Device, _) => Self::Device,
            // One of the two is enough for a cache to hold it.
            (_, Self::NonCacheable | Self::Device) => outer,
            _ => inner,
        }
    }

    /// From stage 2's MemAttr, without FWB.
    pub const fn from_stage2(attribute: u64) -> Self {
        if attribute >> 2 == 0 {
            return Self::Device;
        }
        match attribute & 3 {
            1 => Self::NonCacheable,
            2 => Self::WriteThrough,
            _ => Self::WriteBack,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_bytes() {
        for (byte, memory) in [
            (0x00, Memory::Device),
            (0x0c, Memory::Device),
            (0x44, Memory::NonCacheable),
            (0xff, Memory::WriteBack),
            (0xbb, Memory::WriteThrough),
            (0x4f, Memory::WriteBack),
            (0xf4, Memory::WriteBack),
        ] {
            assert_eq!(Memory::from_mair(byte), memory, "{byte:#x}");
        }
    }
}

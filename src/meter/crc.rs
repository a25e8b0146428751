//! CRC-16/MODBUS, which also protects lines of meters that don't speak Modbus. Knows neither
//! frames nor lines.

/// The polynomial 8005 reflected, from FFFF (Modbus over Serial Line V1.02, 6.2.2).
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogues_check_value_is_met() {
        assert_eq!(crc16(b"123456789"), 0x4B37);
    }
}

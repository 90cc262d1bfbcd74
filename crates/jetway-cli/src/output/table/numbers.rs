//! Numbers as text.

/// A number with thousands separators: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes and in the largest fitting unit: `12,345 (12.0 KiB)`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let exponent = (number.max(1).ilog2() / 10) as usize;
    match exponent.checked_sub(1).map(|index| UNITS[index.min(UNITS.len() - 1)]) {
        None => count(number),
        Some(unit) => {
            let divisor = 1_u64 << (10 * exponent.min(UNITS.len()));
            // Integer arithmetic: a cast to a float could lose digits.
            let tenths = u128::from(number) * 10 / u128::from(divisor);
            format!("{} ({}.{} {unit})", count(number), tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(12), "12");
        assert_eq!(bytes(1_023), "1,023");
        assert_eq!(bytes(12_345), "12,345 (12.0 KiB)");
        assert_eq!(bytes(5 << 20), "5,242,880 (5.0 MiB)");
    }
}

;; Conversion between the float types, 8 elements a turn. Each function reads from $src up to $end and writes from $dst on;
;; both are multiples of 16, and what lies behind the last element up to the next such turn is converted along.
;; kernels.ts holds the assembled bytes: after a change run `node test/tensor/assemble.ts`.
(module
  ;; 512 KB: two regions of 256 KB.
  (memory (export "memory") 8 8)

  ;; A bfloat16 is the upper half of a float32.
  (func (export "widenBfloat16") (param $src i32) (param $dst i32) (param $end i32)
    (local $x v128) (local $zero v128)
    (loop $next
      (local.set $x (v128.load (local.get $src)))
      (v128.store (local.get $dst)
        (i8x16.shuffle 16 16 0 1 16 16 2 3 16 16 4 5 16 16 6 7 (local.get $x) (local.get $zero)))
      (v128.store offset=16 (local.get $dst)
        (i8x16.shuffle 16 16 8 9 16 16 10 11 16 16 12 13 16 16 14 15 (local.get $x) (local.get $zero)))
      (local.set $dst (i32.add (local.get $dst) (i32.const 32)))
      (local.set $src (i32.add (local.get $src) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $src) (local.get $end)))))

  ;; Four float16 in the lower halves of the lanes.
  (func $wideHalf (param $x v128) (result v128)
    (local $magnitude v128) (local $normal v128)
    (local.set $magnitude (i32x4.shl (v128.and (local.get $x) (v128.const i32x4 0x7fff 0x7fff 0x7fff 0x7fff)) (i32.const 13)))
    ;; The exponent's bias grows by 112, and once more for infinity and NaN.
    (local.set $normal (i32x4.add
      (i32x4.add (local.get $magnitude) (v128.const i32x4 0x38000000 0x38000000 0x38000000 0x38000000))
      (v128.and
        (i32x4.ge_u (local.get $magnitude) (v128.const i32x4 0x0f800000 0x0f800000 0x0f800000 0x0f800000))
        (v128.const i32x4 0x38000000 0x38000000 0x38000000 0x38000000))))
    (v128.or
      (i32x4.shl (v128.and (local.get $x) (v128.const i32x4 0x8000 0x8000 0x8000 0x8000)) (i32.const 16))
      (v128.bitselect
        ;; A subnormal is what it adds to 2^-14, whose float32 has these bits.
        (f32x4.sub
          (i32x4.add (local.get $magnitude) (v128.const i32x4 0x38800000 0x38800000 0x38800000 0x38800000))
          (v128.const i32x4 0x38800000 0x38800000 0x38800000 0x38800000))
        (local.get $normal)
        (i32x4.lt_u (local.get $magnitude) (v128.const i32x4 0x00800000 0x00800000 0x00800000 0x00800000)))))

  (func (export "widenFloat16") (param $src i32) (param $dst i32) (param $end i32)
    (local $x v128)
    (loop $next
      (local.set $x (v128.load (local.get $src)))
      (v128.store (local.get $dst) (call $wideHalf (i32x4.extend_low_i16x8_u (local.get $x))))
      (v128.store offset=16 (local.get $dst) (call $wideHalf (i32x4.extend_high_i16x8_u (local.get $x))))
      (local.set $dst (i32.add (local.get $dst) (i32.const 32)))
      (local.set $src (i32.add (local.get $src) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $src) (local.get $end)))))

  ;; Four float32 to bfloat16 in the lower halves of the lanes, to nearest even.
  (func $narrowBfloat (param $x v128) (result v128)
    (v128.bitselect
      (v128.or (i32x4.shr_u (local.get $x) (i32.const 16)) (v128.const i32x4 0x40 0x40 0x40 0x40))
      (i32x4.shr_u
        (i32x4.add
          (i32x4.add (local.get $x) (v128.const i32x4 0x7fff 0x7fff 0x7fff 0x7fff))
          (v128.and (i32x4.shr_u (local.get $x) (i32.const 16)) (v128.const i32x4 1 1 1 1)))
        (i32.const 16))
      (i32x4.gt_u
        (v128.and (local.get $x) (v128.const i32x4 0x7fffffff 0x7fffffff 0x7fffffff 0x7fffffff))
        (v128.const i32x4 0x7f800000 0x7f800000 0x7f800000 0x7f800000))))

  (func (export "narrowBfloat16") (param $src i32) (param $dst i32) (param $end i32)
    (loop $next
      (v128.store (local.get $dst) (i16x8.narrow_i32x4_u
        (call $narrowBfloat (v128.load (local.get $src)))
        (call $narrowBfloat (v128.load offset=16 (local.get $src)))))
      (local.set $dst (i32.add (local.get $dst) (i32.const 16)))
      (local.set $src (i32.add (local.get $src) (i32.const 32)))
      (br_if $next (i32.lt_u (local.get $src) (local.get $end)))))

  ;; Four float32 to float16 in the lower halves of the lanes, to nearest even.
  (func $narrowHalf (param $x v128) (result v128)
    (local $magnitude v128) (local $result v128)
    (local.set $magnitude (v128.and (local.get $x) (v128.const i32x4 0x7fffffff 0x7fffffff 0x7fffffff 0x7fffffff)))
    (local.set $result (i32x4.shr_u
      (i32x4.add
        (i32x4.sub (local.get $magnitude) (v128.const i32x4 0x37fff001 0x37fff001 0x37fff001 0x37fff001))
        (v128.and (i32x4.shr_u (local.get $magnitude) (i32.const 13)) (v128.const i32x4 1 1 1 1)))
      (i32.const 13)))
    ;; Below 2^-14 the result is a multiple of 2^-24: the addition of 0.5 rounds to it.
    (local.set $result (v128.bitselect
      (i32x4.sub
        (f32x4.add (local.get $magnitude) (v128.const f32x4 0.5 0.5 0.5 0.5))
        (v128.const f32x4 0.5 0.5 0.5 0.5))
      (local.get $result)
      (i32x4.lt_u (local.get $magnitude) (v128.const i32x4 0x38800000 0x38800000 0x38800000 0x38800000))))
    ;; 65520 and above round to infinity.
    (local.set $result (v128.bitselect
      (v128.const i32x4 0x7c00 0x7c00 0x7c00 0x7c00)
      (local.get $result)
      (i32x4.ge_u (local.get $magnitude) (v128.const i32x4 0x477ff000 0x477ff000 0x477ff000 0x477ff000))))
    (local.set $result (v128.bitselect
      (v128.const i32x4 0x7e00 0x7e00 0x7e00 0x7e00)
      (local.get $result)
      (i32x4.gt_u (local.get $magnitude) (v128.const i32x4 0x7f800000 0x7f800000 0x7f800000 0x7f800000))))
    (v128.or
      (local.get $result)
      (v128.and (i32x4.shr_u (local.get $x) (i32.const 16)) (v128.const i32x4 0x8000 0x8000 0x8000 0x8000))))

  (func (export "narrowFloat16") (param $src i32) (param $dst i32) (param $end i32)
    (loop $next
      (v128.store (local.get $dst) (i16x8.narrow_i32x4_u
        (call $narrowHalf (v128.load (local.get $src)))
        (call $narrowHalf (v128.load offset=16 (local.get $src)))))
      (local.set $dst (i32.add (local.get $dst) (i32.const 16)))
      (local.set $src (i32.add (local.get $src) (i32.const 32)))
      (br_if $next (i32.lt_u (local.get $src) (local.get $end)))))

  ;; Blocks of int8 (int8-blocks.ts): 32 float32, 128 bytes, to a bfloat16 scale and 32 codes, 34 bytes, and back. These go
  ;; by whole blocks; $end is that of the source.

  ;; Four codes: x / scale, to nearest even.
  (func $codes (param $x v128) (param $inverse v128) (result v128)
    (i32x4.trunc_sat_f32x4_s (f32x4.nearest (f32x4.mul (local.get $x) (local.get $inverse)))))

  ;; Sixteen codes, of 64 bytes.
  (func $sixteen (param $src i32) (param $inverse v128) (result v128)
    (i8x16.narrow_i16x8_s
      (i16x8.narrow_i32x4_s
        (call $codes (v128.load (local.get $src)) (local.get $inverse))
        (call $codes (v128.load offset=16 (local.get $src)) (local.get $inverse)))
      (i16x8.narrow_i32x4_s
        (call $codes (v128.load offset=32 (local.get $src)) (local.get $inverse))
        (call $codes (v128.load offset=48 (local.get $src)) (local.get $inverse)))))

  ;; The larger magnitudes, as bits, of lanes of two vectors 16 bytes apart. Bits of magnitudes are in the order of the
  ;; numbers, with infinity and NaN above all.
  (func $larger (param $src i32) (result v128)
    (i32x4.max_u
      (v128.and (v128.load (local.get $src)) (v128.const i32x4 0x7fffffff 0x7fffffff 0x7fffffff 0x7fffffff))
      (v128.and (v128.load offset=16 (local.get $src)) (v128.const i32x4 0x7fffffff 0x7fffffff 0x7fffffff 0x7fffffff))))

  (func $largest (param $src i32) (result i32)
    (local $x v128)
    (local.set $x (i32x4.max_u
      (i32x4.max_u (call $larger (local.get $src)) (call $larger (i32.add (local.get $src) (i32.const 32))))
      (i32x4.max_u
        (call $larger (i32.add (local.get $src) (i32.const 64)))
        (call $larger (i32.add (local.get $src) (i32.const 96))))))
    (local.set $x (i32x4.max_u (local.get $x)
      (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $x) (local.get $x))))
    (local.set $x (i32x4.max_u (local.get $x)
      (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11 (local.get $x) (local.get $x))))
    (i32x4.extract_lane 0 (local.get $x)))

  (func (export "packInt8") (param $src i32) (param $dst i32) (param $end i32)
    (local $largest i32) (local $scale i32) (local $inverse v128)
    (loop $next
      (local.set $largest (call $largest (local.get $src)))
      ;; The scale is a bfloat16, to nearest even; a block whose scale would be subnormal is zeros.
      (local.set $scale (i32.reinterpret_f32 (f32.div (f32.reinterpret_i32 (local.get $largest)) (f32.const 127))))
      (local.set $scale (i32.shr_u
        (i32.add
          (i32.add (local.get $scale) (i32.const 0x7fff))
          (i32.and (i32.shr_u (local.get $scale) (i32.const 16)) (i32.const 1)))
        (i32.const 16)))
      (if (i32.lt_u (local.get $scale) (i32.const 0x0080)) (then (local.set $scale (i32.const 0))))
      (local.set $inverse (v128.const i32x4 0 0 0 0))
      (if (i32.ge_u (local.get $largest) (i32.const 0x7f800000))
        (then
          (local.set $scale (i32.const 0x7fc0))
          (v128.store offset=2 align=2 (local.get $dst) (local.get $inverse))
          (v128.store offset=18 align=2 (local.get $dst) (local.get $inverse)))
        (else
          (if (local.get $scale) (then (local.set $inverse
            (f32x4.splat
              (f32.div (f32.const 1) (f32.reinterpret_i32 (i32.shl (local.get $scale) (i32.const 16))))))))
          (v128.store offset=2 align=2 (local.get $dst) (call $sixteen (local.get $src) (local.get $inverse)))
          (v128.store offset=18 align=2 (local.get $dst)
            (call $sixteen (i32.add (local.get $src) (i32.const 64)) (local.get $inverse)))))
      (i32.store16 (local.get $dst) (local.get $scale))
      (local.set $dst (i32.add (local.get $dst) (i32.const 34)))
      (local.set $src (i32.add (local.get $src) (i32.const 128)))
      (br_if $next (i32.lt_u (local.get $src) (local.get $end)))))

  ;; Writes what eight codes, of 16 bits, stand for: 32 bytes.
  (func $eight (param $dst i32) (param $codes v128) (param $scale v128)
    (v128.store (local.get $dst)
      (f32x4.mul (f32x4.convert_i32x4_s (i32x4.extend_low_i16x8_s (local.get $codes))) (local.get $scale)))
    (v128.store offset=16 (local.get $dst)
      (f32x4.mul (f32x4.convert_i32x4_s (i32x4.extend_high_i16x8_s (local.get $codes))) (local.get $scale))))

  (func (export "unpackInt8") (param $src i32) (param $dst i32) (param $end i32)
    (local $scale v128) (local $codes v128)
    (loop $next
      (local.set $scale (f32x4.splat
        (f32.reinterpret_i32 (i32.shl (i32.load16_u (local.get $src)) (i32.const 16)))))
      (local.set $codes (v128.load offset=2 align=2 (local.get $src)))
      (call $eight (local.get $dst) (i16x8.extend_low_i8x16_s (local.get $codes)) (local.get $scale))
      (call $eight (i32.add (local.get $dst) (i32.const 32)) (i16x8.extend_high_i8x16_s (local.get $codes))
        (local.get $scale))
      (local.set $codes (v128.load offset=18 align=2 (local.get $src)))
      (call $eight (i32.add (local.get $dst) (i32.const 64)) (i16x8.extend_low_i8x16_s (local.get $codes))
        (local.get $scale))
      (call $eight (i32.add (local.get $dst) (i32.const 96)) (i16x8.extend_high_i8x16_s (local.get $codes))
        (local.get $scale))
      (local.set $dst (i32.add (local.get $dst) (i32.const 128)))
      (local.set $src (i32.add (local.get $src) (i32.const 34)))
      (br_if $next (i32.lt_u (local.get $src) (local.get $end)))))

  ;; 1 where packInt8 could have made all blocks of finite numbers, else 0: zeros, or a scale from 0x0080 to 0x7c01 (the
  ;; least normal number, and what 127 such may be of) and a code of -127 or 127, but none of -128.
  (func (export "soundInt8") (param $src i32) (param $end i32) (result i32)
    (local $scale i32) (local $most v128)
    (loop $next
      (local.set $scale (i32.load16_u (local.get $src)))
      (local.set $most (i8x16.max_u
        (i8x16.abs (v128.load offset=2 align=2 (local.get $src)))
        (i8x16.abs (v128.load offset=18 align=2 (local.get $src)))))
      (if (local.get $scale)
        (then
          (if (i32.gt_u (i32.sub (local.get $scale) (i32.const 0x0080)) (i32.const 0x7b81)) (then (return (i32.const 0))))
          (if (i32.eqz (v128.any_true (i8x16.eq (local.get $most)
              (v128.const i8x16 127 127 127 127 127 127 127 127 127 127 127 127 127 127 127 127))))
            (then (return (i32.const 0))))
          (if (v128.any_true (i8x16.gt_u (local.get $most)
              (v128.const i8x16 127 127 127 127 127 127 127 127 127 127 127 127 127 127 127 127)))
            (then (return (i32.const 0)))))
        (else
          (if (v128.any_true (local.get $most)) (then (return (i32.const 0))))))
      (local.set $src (i32.add (local.get $src) (i32.const 34)))
      (br_if $next (i32.lt_u (local.get $src) (local.get $end))))
    (i32.const 1))

  ;; 1 where no float32 is infinite or NaN, whose exponents have all bits set, else 0.
  (func (export "finiteFloat32") (param $src i32) (param $end i32) (result i32)
    (local $found v128)
    (loop $next
      (local.set $found (v128.or (local.get $found) (i32x4.eq
        (v128.and (v128.load (local.get $src)) (v128.const i32x4 0x7f800000 0x7f800000 0x7f800000 0x7f800000))
        (v128.const i32x4 0x7f800000 0x7f800000 0x7f800000 0x7f800000))))
      (local.set $src (i32.add (local.get $src) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $src) (local.get $end))))
    (i32.eqz (v128.any_true (local.get $found))))

  ;; The same of elements of 16 bits, whose exponents are these bits.
  (func (export "finiteHalf") (param $src i32) (param $end i32) (param $exponent i32) (result i32)
    (local $found v128) (local $bits v128)
    (local.set $bits (i16x8.splat (local.get $exponent)))
    (loop $next
      (local.set $found (v128.or (local.get $found) (i16x8.eq
        (v128.and (v128.load (local.get $src)) (local.get $bits))
        (local.get $bits))))
      (local.set $src (i32.add (local.get $src) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $src) (local.get $end))))
    (i32.eqz (v128.any_true (local.get $found))))
)

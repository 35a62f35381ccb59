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
)

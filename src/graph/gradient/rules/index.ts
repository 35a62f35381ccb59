import type { Rule } from '../rule.ts'
import { ACTIVATIONS } from './activations.ts'
import { ARITHMETIC } from './arithmetic.ts'
import { INDEXING } from './indexing.ts'
import { NORMS } from './norms.ts'
import { PRODUCTS } from './products.ts'
import { REDUCTIONS } from './reductions.ts'
import { ROTATIONS } from './rotations.ts'
import { SHAPES } from './shapes.ts'

/** The table of gradients, by `domain/op`. */
export const RULES: ReadonlyMap<string, Rule> = new Map(
  [ARITHMETIC, ACTIVATIONS, PRODUCTS, SHAPES, INDEXING, REDUCTIONS, NORMS, ROTATIONS].flatMap((rules) =>
    Object.entries(rules),
  ),
)

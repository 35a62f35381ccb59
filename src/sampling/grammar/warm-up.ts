import type { Constraint } from './constraint.ts'
import type { Grammars } from './grammars.ts'

/** What most constraints have parts of: objects, strings with and without limits, numbers, lists, free text, a call. */
const USUAL: readonly (readonly [constraint: Constraint, text: string])[] = [
  [{ kind: 'json_object' }, '{"a": [1.5, "b", true, {"c": -2e3}], "d": null}'],
  [
    {
      kind: 'json_schema',
      schema: {
        type: 'object',
        properties: {
          a: { type: 'string' },
          b: { type: 'string', maxLength: 200 },
          c: { type: 'number' },
          d: { type: 'integer', minimum: 0, maximum: 100 },
          e: { enum: ['f', 'g'] },
          h: { type: 'array', items: { type: 'boolean' } },
          i: { anyOf: [{ type: 'null' }, { type: 'string', pattern: '^[a-z]+$' }] },
        },
        required: ['a', 'b', 'c', 'd', 'e', 'h', 'i'],
        additionalProperties: false,
      },
    },
    '{"a": "x", "b": "y", "c": 1.5, "d": 12, "e": "f", "h": [true, false], "i": "zz"}',
  ],
]

/**
 * Finds what most constraints need for their first texts, before there is one: the tokens that fit into strings, say,
 * which are the same in all. It takes a few tenths of a second, in which otherwise somebody would wait.
 */
export function warmUp(grammars: Grammars): void {
  for (const [constraint, text] of USUAL) {
    const store = grammars.store()
    let state = grammars.start(store, constraint, JSON.stringify(constraint))
    for (const byte of Buffer.from(text)) {
      store.masks.of(state)
      state = store.compiler.derivatives.next(state, byte)
    }
  }
}

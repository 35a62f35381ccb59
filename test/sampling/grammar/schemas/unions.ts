import type { SchemaCase } from './case.ts'

const INT = { type: 'integer' } as const
const TEXT = { type: 'string' } as const
const tagged = (kind: string, more: object) =>
  ({
    type: 'object',
    properties: { kind: { const: kind }, ...more },
    required: ['kind', ...Object.keys(more)],
    additionalProperties: false,
  }) as const

/** anyOf, oneOf, allOf. */
export const UNIONS: readonly SchemaCase[] = [
  [{ anyOf: [INT, TEXT] }, [1, 'a'], [1.5, null, {}]],
  [{ anyOf: [{ const: 1 }, { const: 2 }, { type: 'null' }] }, [1, 2, null], [3, 12]],
  [
    {
      anyOf: [
        { type: 'object', properties: { a: INT }, required: ['a'], additionalProperties: false },
        { type: 'object', properties: { b: INT }, required: ['b'], additionalProperties: false },
      ],
    },
    [{ a: 1 }, { b: 1 }],
    [{}, { a: 1, b: 1 }, { c: 1 }],
  ],
  [{ anyOf: [INT, { type: 'array', items: INT }], title: 'u' }, [1, [1, 2]], ['a', ['a']]],
  [{ type: 'string', anyOf: [{ pattern: '^a' }, { pattern: 'z$' }] }, ['a', 'z', 'abc', 'xyz'], ['b', '']],
  [{ type: 'integer', anyOf: [{ maximum: 0 }, { minimum: 10 }] }, [0, -5, 10, 20], [1, 5, 9]],
  [{ anyOf: [{ minimum: 5 }, { type: 'string', maxLength: 2 }] }, [5, 'ab', null], [4]],
  [{ anyOf: [{ anyOf: [{ const: 'a' }, { const: 'b' }] }, { anyOf: [{ const: 'c' }] }] }, ['a', 'b', 'c'], ['d']],
  [{ anyOf: [false, INT] }, [1], ['a']],
  [{ anyOf: [true, INT] }, [1, 'a'], []],
  [{ anyOf: [{ enum: ['a', 'ab'] }, { enum: ['abc', 'b'] }] }, ['a', 'ab', 'abc', 'b'], ['abcd', 'c']],
  [
    {
      type: 'object',
      properties: { a: { anyOf: [INT, { type: 'null' }] } },
      required: ['a'],
      additionalProperties: false,
    },
    [{ a: 1 }, { a: null }],
    [{ a: 'x' }, {}],
  ],
  [
    {
      type: 'object',
      properties: { id: INT },
      anyOf: [{ required: ['id'] }, { properties: { name: TEXT }, required: ['name'] }],
    },
    [{ id: 1 }, { name: 'x' }, { id: 1, name: 'x' }],
    [{}, { id: 'x' }],
  ],
  [{ oneOf: [INT, TEXT] }, [1, 'a'], [1.5, null]],
  [
    { oneOf: [tagged('circle', { r: { type: 'number' } }), tagged('square', { side: INT })] },
    [
      { kind: 'circle', r: 1.5 },
      { kind: 'square', side: 2 },
    ],
    [{ kind: 'circle', side: 2 }, { kind: 'x' }, {}],
  ],
  [
    { oneOf: [tagged('a', {}), tagged('b', {}), tagged('c', { x: INT })], discriminator: { propertyName: 'kind' } },
    [{ kind: 'a' }, { kind: 'c', x: 1 }],
    [{ kind: 'c' }, { kind: 'd' }],
  ],
  [
    {
      oneOf: [
        { type: 'integer', maximum: 4 },
        { type: 'integer', minimum: 5 },
      ],
    },
    [4, 5, -1, 100],
    ['x', 4.5],
  ],
  [
    {
      oneOf: [
        { type: 'string', maxLength: 2 },
        { type: 'string', minLength: 3 },
      ],
    },
    ['', 'ab', 'abc'],
    [1],
  ],
  [
    {
      oneOf: [
        { type: 'string', pattern: '^a' },
        { type: 'string', pattern: '^b' },
      ],
    },
    ['a', 'bcd'],
    ['c', ''],
  ],
  [{ oneOf: [{ enum: [1, 2] }, { enum: [3, 'a'] }] }, [1, 2, 3, 'a'], [4]],
  [
    {
      oneOf: [
        { type: 'array', maxItems: 1 },
        { type: 'array', minItems: 2 },
      ],
    },
    [[], [1], [1, 2]],
    [1],
  ],
  [
    {
      oneOf: [
        { type: 'object', required: ['a'], properties: { a: INT }, additionalProperties: false },
        { type: 'object', required: ['b'], properties: { b: INT }, additionalProperties: false },
      ],
    },
    [{ a: 1 }, { b: 2 }],
    [{ a: 1, b: 2 }, {}],
  ],
  [
    { oneOf: [{ type: 'null' }, { type: 'array', items: { oneOf: [INT, { type: 'boolean' }] } }] },
    [null, [1, true]],
    [['a'], 1],
  ],
  [
    { type: 'integer', multipleOf: 2, oneOf: [{ multipleOf: 3, maximum: 20 }, { minimum: 21 }] },
    [6, 12, 22],
    [4, 9, 23],
  ],
  [{ allOf: [INT, { minimum: 3 }] }, [3, 4], [2, 'a', 3.5]],
  [{ allOf: [{ type: ['integer', 'string'] }, { type: ['string', 'null'] }] }, ['a'], [1, null]],
  [{ allOf: [{ type: 'number' }, { type: 'integer' }] }, [1], [1.5]],
  [
    { allOf: [{ minLength: 2 }, { maxLength: 4 }, { type: 'string', pattern: '^a' }] },
    ['ab', 'abcd'],
    ['a', 'abcde', 'bcd'],
  ],
  [{ allOf: [{ type: 'integer', multipleOf: 2 }, { multipleOf: 3 }] }, [0, 6, 12, -6], [2, 3, 4]],
  [
    {
      allOf: [
        { type: 'object', properties: { a: INT }, required: ['a'] },
        { properties: { b: TEXT }, required: ['b'] },
      ],
    },
    [
      { a: 1, b: 'x' },
      { a: 1, b: 'x', c: 1 },
    ],
    [{ a: 1 }, { b: 'x' }, { a: 1, b: 2 }],
  ],
  [
    {
      allOf: [
        { properties: { a: { minimum: 1 } } },
        { properties: { a: { maximum: 5, type: 'integer' } }, required: ['a'], type: 'object' },
      ],
    },
    [{ a: 1 }, { a: 5 }],
    [{ a: 0 }, { a: 6 }, { a: 'x' }],
  ],
  [
    { allOf: [{ type: 'object', additionalProperties: INT }, { properties: { a: { minimum: 5 } } }] },
    [{ a: 5 }, { b: 1 }, {}],
    [{ a: 4 }, { a: 'x' }, { b: 'x' }],
  ],
  [
    {
      allOf: [
        { type: 'array', items: INT },
        { items: { minimum: 2 }, minItems: 1 },
      ],
    },
    [[2], [2, 3]],
    [[], [1], ['a']],
  ],
  [
    { allOf: [{ type: 'array', prefixItems: [TEXT] }, { items: { minLength: 2 } }] },
    [[], ['ab'], ['ab', 'cd']],
    [['a'], [1]],
  ],
  [{ allOf: [{ enum: ['a', 'b', 'c'] }, { enum: ['b', 'c', 'd'] }] }, ['b', 'c'], ['a', 'd']],
  [{ allOf: [{ anyOf: [INT, TEXT] }, { anyOf: [TEXT, { type: 'null' }] }] }, ['a'], [1, null]],
  [
    { allOf: [{ anyOf: [{ minimum: 10 }, { maximum: 0 }] }, { type: 'integer', minimum: -5, maximum: 12 }] },
    [-5, 0, 10, 12],
    [1, 9, 13, -6],
  ],
  [{ allOf: [true, INT] }, [1], ['a']],
  [{ allOf: [INT, INT] }, [1], ['a']],
  [{ allOf: [{ type: 'string', format: 'date' }, { pattern: '-01$' }] }, ['2024-02-01'], ['2024-02-02', 'x-01']],
]

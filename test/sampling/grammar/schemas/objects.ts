import type { SchemaCase } from './case.ts'

const INT = { type: 'integer' } as const
const TEXT = { type: 'string' } as const
const CLOSED = { type: 'object', additionalProperties: false } as const

/** Values have their properties in the schema's order: others are not written. */
export const OBJECTS: readonly SchemaCase[] = [
  [{ type: 'object', properties: { a: INT } }, [{}, { a: 1 }, { a: 1, b: 'x' }, { b: 2 }], [{ a: 'x' }, { a: null }]],
  [
    { type: 'object', properties: { a: INT }, required: ['a'] },
    [{ a: 1 }, { a: 1, z: null }],
    [{}, { z: 1 }, { a: 'x' }],
  ],
  [{ ...CLOSED, properties: { a: INT } }, [{}, { a: 1 }], [{ b: 1 }, { a: 1, b: 1 }]],
  [
    { ...CLOSED, properties: { a: INT, b: TEXT }, required: ['a', 'b'] },
    [{ a: 1, b: 'x' }],
    [{ a: 1 }, { b: 'x' }, {}, { a: 1, b: 'x', c: 1 }],
  ],
  [
    { ...CLOSED, properties: { a: INT, b: TEXT, c: INT }, required: ['b'] },
    [{ b: 'x' }, { a: 1, b: 'x' }, { a: 1, b: 'x', c: 2 }, { b: '', c: 0 }],
    [{}, { a: 1 }, { c: 1 }, { a: 1, c: 2 }],
  ],
  [
    { ...CLOSED, properties: { a: INT, b: INT, c: INT, d: INT, e: INT } },
    [{}, { a: 1, e: 5 }, { c: 3 }, { b: 2, d: 4 }, { a: 1, b: 2, c: 3, d: 4, e: 5 }],
    [{ f: 1 }, { a: 'x' }],
  ],
  [
    { ...CLOSED, properties: { a: INT, b: INT, c: INT }, required: ['a', 'c'] },
    [
      { a: 1, c: 3 },
      { a: 1, b: 2, c: 3 },
    ],
    [{ a: 1, b: 2 }, { c: 3 }],
  ],
  [CLOSED, [{}], [{ a: 1 }]],
  [{ type: 'object', additionalProperties: INT }, [{}, { a: 1 }, { a: 1, b: 2 }], [{ a: 'x' }, { a: 1, b: null }]],
  [
    { type: 'object', additionalProperties: { type: 'array', items: TEXT } },
    [{}, { a: ['x'] }],
    [{ a: 'x' }, { a: [1] }],
  ],
  [
    { type: 'object', properties: { a: TEXT }, additionalProperties: INT },
    [{ a: 'x' }, { a: 'x', b: 1 }, { b: 1 }, { ab: 1 }],
    [{ a: 1 }, { b: 'x' }],
  ],
  [
    { type: 'object', properties: { name: TEXT, nam: TEXT }, additionalProperties: INT },
    [{ name: 'x', nam: 'y', na: 1, names: 2 }],
    [{ name: 1 }, { nam: 1 }],
  ],
  [{ type: 'object', properties: { '': INT }, additionalProperties: false }, [{ '': 1 }, {}], [{ a: 1 }]],
  [{ ...CLOSED, properties: { 'a "b"': INT, 'ü\n': INT } }, [{ 'a "b"': 1, 'ü\n': 2 }], [{ 'a b': 1 }]],
  [{ type: 'object', required: ['a'] }, [{ a: 1 }, { a: null, b: [] }], [{}, { b: 1 }]],
  [{ ...CLOSED, required: ['a'], properties: { a: true } }, [{ a: { b: 1 } }], [{}]],
  [{ ...CLOSED, properties: { a: false, b: INT } }, [{}, { b: 1 }], [{ a: 1 }]],
  [{ required: ['a'] }, [{ a: 1 }, 'text', 3, []], [{}]],
  [
    {
      ...CLOSED,
      properties: {
        a: { ...CLOSED, properties: { b: { ...CLOSED, properties: { c: INT }, required: ['c'] } }, required: ['b'] },
      },
      required: ['a'],
    },
    [{ a: { b: { c: 1 } } }],
    [{ a: {} }, { a: { b: {} } }, { a: { b: { c: 'x' } } }],
  ],
  [{ type: 'object', minProperties: 1 }, [{ a: 1 }, { a: 1, b: 2 }], [{}]],
  [{ type: 'object', maxProperties: 2 }, [{}, { a: 1 }, { a: 1, b: 2 }], [{ a: 1, b: 2, c: 3 }]],
  [
    { ...CLOSED, properties: { a: INT, b: INT, c: INT }, minProperties: 2 },
    [
      { a: 1, b: 2 },
      { a: 1, c: 3 },
      { b: 2, c: 3 },
      { a: 1, b: 2, c: 3 },
    ],
    [{}, { a: 1 }, { c: 3 }],
  ],
  [{ ...CLOSED, properties: { a: INT, b: INT, c: INT }, maxProperties: 1 }, [{}, { b: 2 }], [{ a: 1, b: 2 }]],
  [
    { ...CLOSED, properties: { a: INT, b: INT, c: INT }, required: ['c'], maxProperties: 2 },
    [{ c: 3 }, { a: 1, c: 3 }],
    [
      { a: 1, b: 2, c: 3 },
      { a: 1, b: 2 },
    ],
  ],
  [{ ...CLOSED, properties: { a: INT, b: INT }, minProperties: 2, maxProperties: 2 }, [{ a: 1, b: 2 }], [{ a: 1 }]],
  [
    { type: 'object', properties: { a: INT }, additionalProperties: INT, minProperties: 2 },
    [{ a: 1, b: 2 }],
    [{ a: 1 }, { b: 2 }],
  ],
  [{ ...CLOSED, patternProperties: { '^x': INT } }, [{}, { x: 1 }, { xy: 2 }], [{ a: 1 }, { x: 'a' }]],
  [
    { type: 'object', patternProperties: { '^x': INT }, additionalProperties: TEXT },
    [{ xa: 1, b: 'c' }],
    [{ xa: 'c' }, { b: 1 }],
  ],
  [
    { ...CLOSED, properties: { xa: TEXT }, patternProperties: { '^x': { minLength: 2 } } },
    [{ xa: 'ab', xb: 'cd' }],
    [{ xa: 'a' }, { xb: 'c' }],
  ],
  [
    { ...CLOSED, patternProperties: { '^a': { minimum: 1 }, b$: { maximum: 5 } } },
    [{ a: 9 }, { b: 0 }, { ab: 3 }],
    [{ ab: 9 }, { ab: 0 }, { c: 1 }],
  ],
  [{ type: 'object', propertyNames: { pattern: '^[a-z]+$' } }, [{}, { abc: 1 }], [{ A: 1 }, { a1: 1 }]],
  [
    { type: 'object', propertyNames: { enum: ['a', 'b'] }, additionalProperties: INT },
    [{ a: 1 }, { b: 2 }],
    [{ c: 1 }],
  ],
  [
    { type: 'object', propertyNames: { maxLength: 2 }, properties: { abc: INT, a: INT } },
    [{ a: 1 }, { a: 1, zz: 2 }],
    [{ abc: 1 }],
  ],
  [
    {
      ...CLOSED,
      properties: { when: { type: 'string', format: 'date' }, n: { type: 'number', minimum: 0 } },
      required: ['when', 'n'],
    },
    [{ when: '2024-01-31', n: 0.5 }],
    [
      { when: 'x', n: 1 },
      { when: '2024-01-31', n: -1 },
    ],
  ],
  [
    { ...CLOSED, properties: { p: { const: 1 }, q: { enum: ['a', null] } }, required: ['q'] },
    [{ q: null }, { p: 1, q: 'a' }],
    [{ p: 2, q: 'a' }, { p: 1 }],
  ],
  [
    { ...CLOSED, properties: { a: { type: ['integer', 'null'] } }, required: ['a'] },
    [{ a: null }, { a: 3 }],
    [{ a: 'x' }],
  ],
  [{ type: 'object', propertyNames: { enum: ['a', 'bc'], minLength: 2 } }, [{}, { bc: 1 }], [{ a: 1 }]],
  [
    {
      type: 'object',
      properties: { a: { type: 'array', items: { $ref: '#' } }, b: INT },
      minProperties: 3,
      additionalProperties: INT,
    },
    [{ a: [], b: 1, c: 2 }],
    [{ a: [], b: 1 }],
  ],
]

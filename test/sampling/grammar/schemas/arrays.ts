import type { SchemaCase } from './case.ts'

export const ARRAYS: readonly SchemaCase[] = [
  [{ type: 'array', items: { type: 'integer' } }, [[], [1], [1, 2, 3]], [['a'], [1, null], [1.5]]],
  [{ type: 'array', items: { type: 'string' }, minItems: 1 }, [['a'], ['a', 'b']], [[], [1]]],
  [{ type: 'array', items: { type: 'string' }, maxItems: 2 }, [[], ['a'], ['a', 'b']], [['a', 'b', 'c']]],
  [
    { type: 'array', minItems: 2, maxItems: 2 },
    [
      [1, 'a'],
      [[], {}],
    ],
    [[], [1], [1, 2, 3]],
  ],
  [{ type: 'array', maxItems: 0 }, [[]], [[1]]],
  [{ type: 'array', items: false }, [[]], [[1]]],
  [{ type: 'array', items: true, minItems: 1 }, [[null], [1, [2]]], [[]]],
  [{ items: { type: 'integer' } }, [[1], 'a', 5, {}], [['a']]],
  [{ type: 'array', items: { type: 'array', items: { type: 'integer' } } }, [[], [[]], [[1], [2, 3]]], [[1], [['a']]]],
  [
    { type: 'array', items: { type: 'array', items: { type: 'number' }, minItems: 2, maxItems: 2 }, minItems: 1 },
    [
      [[0, 1.5]],
      [
        [1, 2],
        [3, 4],
      ],
    ],
    [[], [[1]], [[1, 2, 3]]],
  ],
  [{ type: 'array', items: { enum: ['a', 'b'] }, maxItems: 3 }, [['a', 'b', 'a'], []], [['c'], ['a', 'a', 'a', 'a']]],
  [{ type: 'array', items: { type: ['string', 'null'] } }, [['a', null]], [[1]]],
  [
    { type: 'array', items: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] } },
    [[], [{ a: 1 }, { a: 2, b: 3 }]],
    [[{}], [{ a: 'x' }]],
  ],
  [
    { type: 'array', prefixItems: [{ type: 'string' }, { type: 'integer' }] },
    [[], ['a'], ['a', 1], ['a', 1, null]],
    [[1], ['a', 'b']],
  ],
  [
    { type: 'array', prefixItems: [{ type: 'string' }, { type: 'integer' }], items: false },
    [[], ['a', 1]],
    [['a', 1, 2]],
  ],
  [{ type: 'array', prefixItems: [{ const: 1 }], items: { const: 2 } }, [[], [1], [1, 2, 2]], [[2], [1, 1]]],
  [
    { type: 'array', prefixItems: [{ type: 'number' }, { type: 'number' }], minItems: 2, items: false },
    [[1, 2.5]],
    [[1], [1, 2, 3]],
  ],
  [
    { type: 'array', prefixItems: [{ type: 'null' }], minItems: 3 },
    [[null, 1, 2]],
    [
      [null, 1],
      [1, 2, 3],
    ],
  ],
  [{ type: 'array', prefixItems: [{ type: 'integer' }, false] }, [[], [1]], [[1, 2]]],
  [
    {
      type: 'array',
      prefixItems: [{ enum: ['+', '-'] }, { type: 'number' }, { type: 'number' }],
      minItems: 3,
      maxItems: 3,
    },
    [['+', 1, 2]],
    [
      ['*', 1, 2],
      ['+', 1],
    ],
  ],
  [
    { type: 'array', items: { type: 'integer', minimum: 0, maximum: 9 }, minItems: 3, maxItems: 5 },
    [
      [1, 2, 3],
      [0, 9, 0, 9, 0],
    ],
    [
      [1, 2],
      [1, 2, 10],
    ],
  ],
  [
    { type: 'array', items: { type: 'boolean' }, minItems: 40, maxItems: 40 },
    [Array.from({ length: 40 }, (_, i) => i % 2 === 0)],
    [[true]],
  ],
  [{ type: 'array', uniqueItems: false, items: { type: 'integer' } }, [[1, 1]], [['a']]],
  [
    { type: 'array', items: { anyOf: [{ type: 'integer' }, { type: 'array', items: { type: 'integer' } }] } },
    [[1, [2, 3], []]],
    [[[[1]]], ['a']],
  ],
]

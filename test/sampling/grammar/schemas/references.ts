import type { SchemaCase } from './case.ts'

const INT = { type: 'integer' } as const

/** $ref, recursion, and schemas as tools generate them. */
export const REFERENCES: readonly SchemaCase[] = [
  [{ $ref: '#/$defs/a', $defs: { a: INT } }, [1], ['a']],
  [{ $ref: '#/definitions/a', definitions: { a: { type: 'string' } } }, ['a'], [1]],
  [{ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: INT } }, [1], ['a']],
  [{ $ref: '#n', $defs: { a: { $anchor: 'n', type: 'null' } } }, [null], [1]],
  [{ $ref: '#/$defs/a~1b', $defs: { 'a/b': INT } }, [1], [null]],
  [{ $ref: '#/$defs/a%20b', $defs: { 'a b': INT } }, [1], [null]],
  [{ $ref: '#/$defs/a', minimum: 5, $defs: { a: INT } }, [5], [4, 'a']],
  [{ allOf: [{ $ref: '#/$defs/a' }, { maximum: 9 }], $defs: { a: { type: 'integer', minimum: 5 } } }, [5, 9], [4, 10]],
  [
    {
      type: 'object',
      properties: { a: { $ref: '#/$defs/p' }, b: { $ref: '#/$defs/p' } },
      required: ['a', 'b'],
      additionalProperties: false,
      $defs: { p: { type: 'array', items: INT, minItems: 2, maxItems: 2 } },
    },
    [{ a: [1, 2], b: [3, 4] }],
    [{ a: [1], b: [3, 4] }],
  ],
  [
    {
      $ref: '#/$defs/list',
      $defs: {
        list: {
          anyOf: [
            { type: 'null' },
            {
              type: 'object',
              properties: { v: INT, next: { $ref: '#/$defs/list' } },
              required: ['v', 'next'],
              additionalProperties: false,
            },
          ],
        },
      },
    },
    [null, { v: 1, next: null }, { v: 1, next: { v: 2, next: { v: 3, next: null } } }],
    [{ v: 1 }, { v: 1, next: { v: 'x', next: null } }, 1],
  ],
  [
    {
      type: 'object',
      properties: { name: { type: 'string' }, children: { type: 'array', items: { $ref: '#' } } },
      required: ['name', 'children'],
      additionalProperties: false,
    },
    [
      { name: 'a', children: [] },
      { name: 'a', children: [{ name: 'b', children: [{ name: 'c', children: [] }] }] },
    ],
    [{ name: 'a' }, { name: 'a', children: [{ name: 'b' }] }],
  ],
  [
    {
      $ref: '#/$defs/json',
      $defs: {
        json: {
          anyOf: [
            { type: ['null', 'boolean', 'number', 'string'] },
            { type: 'array', items: { $ref: '#/$defs/json' } },
            { type: 'object', additionalProperties: { $ref: '#/$defs/json' } },
          ],
        },
      },
    },
    [null, [1, ['a', {}]], { a: { b: [true] } }],
    [],
  ],
  [
    {
      $ref: '#/$defs/even',
      $defs: {
        even: { type: 'array', prefixItems: [{ $ref: '#/$defs/odd' }], items: false },
        odd: {
          anyOf: [
            { type: 'null' },
            { type: 'array', prefixItems: [{ $ref: '#/$defs/even' }], items: false, minItems: 1 },
          ],
        },
      },
    },
    [[], [null], [[[]]]],
    [[[]], 1],
  ],
  [
    {
      $ref: '#/$defs/expr',
      $defs: {
        expr: {
          anyOf: [
            { type: 'number' },
            {
              type: 'object',
              properties: {
                op: { enum: ['+', '*'] },
                args: { type: 'array', items: { $ref: '#/$defs/expr' }, minItems: 2, maxItems: 2 },
              },
              required: ['op', 'args'],
              additionalProperties: false,
            },
          ],
        },
      },
    },
    [1, { op: '+', args: [1, { op: '*', args: [2, 3] }] }],
    [
      { op: '-', args: [1, 2] },
      { op: '+', args: [1] },
    ],
  ],
  [
    { type: 'object', properties: { self: { $ref: '#' }, n: INT } },
    [{}, { self: { self: { n: 1 } }, n: 2 }],
    [{ self: 1 }, { n: 'x' }],
  ],
  [
    { type: 'object', properties: { a: { $ref: '#/properties/b' }, b: INT }, additionalProperties: false },
    [{ a: 1, b: 2 }],
    [{ a: 'x' }],
  ],
  [
    {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: 'https://example.org/a',
      type: 'object',
      title: 'User',
      properties: {
        id: { type: 'string', format: 'uuid', title: 'Id' },
        email: { anyOf: [{ type: 'string', format: 'email' }, { type: 'null' }], default: null, title: 'Email' },
        role: { $ref: '#/$defs/Role', default: 'user' },
      },
      required: ['id'],
      $defs: { Role: { enum: ['user', 'admin'], title: 'Role', type: 'string' } },
    },
    [
      { id: '123e4567-e89b-12d3-a456-426614174000' },
      { id: '123e4567-e89b-12d3-a456-426614174000', email: null, role: 'admin' },
    ],
    [{}, { id: 'x' }, { id: '123e4567-e89b-12d3-a456-426614174000', role: 'root' }],
  ],
  [
    {
      type: 'object',
      properties: {
        steps: {
          type: 'array',
          items: {
            type: 'object',
            properties: { explanation: { type: 'string' }, output: { type: 'string' } },
            required: ['explanation', 'output'],
            additionalProperties: false,
          },
        },
        final_answer: { type: 'string' },
      },
      required: ['steps', 'final_answer'],
      additionalProperties: false,
    },
    [
      { steps: [], final_answer: 'x' },
      { steps: [{ explanation: 'e', output: 'o' }], final_answer: '' },
    ],
    [{ steps: [{ explanation: 'e' }], final_answer: 'x' }, { steps: [] }],
  ],
  [
    {
      type: 'object',
      properties: {
        location: { type: 'string', description: 'City' },
        unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
      },
      required: ['location'],
    },
    [{ location: 'Paris' }, { location: 'Paris', unit: 'celsius' }],
    [{}, { location: 1 }, { location: 'Paris', unit: 'kelvin' }],
  ],
  [
    {
      type: 'object',
      properties: {
        item: {
          oneOf: [{ $ref: '#/$defs/Cat' }, { $ref: '#/$defs/Dog' }],
          discriminator: { propertyName: 'pet', mapping: { cat: '#/$defs/Cat', dog: '#/$defs/Dog' } },
        },
      },
      required: ['item'],
      $defs: {
        Cat: {
          type: 'object',
          properties: { pet: { const: 'cat', type: 'string' }, lives: INT },
          required: ['pet', 'lives'],
        },
        Dog: {
          type: 'object',
          properties: { pet: { const: 'dog', type: 'string' }, barks: { type: 'boolean' } },
          required: ['pet', 'barks'],
        },
      },
    },
    [{ item: { pet: 'cat', lives: 9 } }, { item: { pet: 'dog', barks: true } }],
    [{ item: { pet: 'cow' } }, { item: { pet: 'cat' } }],
  ],
]

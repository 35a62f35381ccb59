import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileTemplate } from '../../../src/client/chat/jinja-template.ts'

const compile = (text: string) => compileTemplate({ text, name: 'hostile.jinja', specialTokens: {}, stopStrings: [] })
const MESSAGES = [{ role: 'user' as const, content: 'a' }]
const nest = (open: string, inner: string, close: string, depth: number) =>
  open.repeat(depth) + inner + close.repeat(depth)
const grown = (step: string) =>
  `{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = ${step} %}{% endfor %}`

/** Templates that loop for ever, grow without end or go too deep, and what their errors say. */
const hostile: readonly [what: string, text: string, message: RegExp][] = [
  ['endless loops', '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}', /timed out/],
  [
    'a loop over its own calls',
    '{% for a in range(9) recursive %}{{ loop(range(9)) }}{% endfor %}',
    /call stack|timed out/,
  ],
  ['a huge range', '{{ range(1000000000)|length }}', /Range too big/],
  ['endless recursion', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', /call stack/],
  [
    'recursion that doubles',
    '{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}',
    /timed out/,
  ],
  ['deep brackets', `{{ ${nest('(', '1', ')', 10_000)} }}`, /call stack/],
  ['deep lists', `{{ ${nest('[', '1', ']', 10_000)} }}`, /call stack/],
  ['deep blocks', nest('{% if 1 %}', 'x', '{% endif %}', 10_000), /call stack/],
  ['a deep sum of signs', `{{ ${'-'.repeat(20_000)}1 }}`, /call stack/],
  ['a value within itself, printed', `${grown('[ns.x]')}{{ ns.x }}`, /call stack/],
  ['a value within itself, compared', `${grown('[ns.x]')}{{ ns.x == [ns.x] }}`, /call stack/],
  ['a value within itself, as JSON', `${grown('[ns.x]')}{{ ns.x|tojson }}`, /call stack/],
  ['a giant text', "{{ 'a' * 10 ** 12 }}", /MemoryError/],
  [
    'a text that doubles',
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    /MemoryError/,
  ],
  ['a list that doubles', grown('ns.x + ns.x'), /MemoryError|timed out/],
  ['a giant list', '{{ [0] * 10 ** 9 }}', /MemoryError/],
  ['a giant indentation', '{{ [[1]]|tojson(indent=10**9) }}', /MemoryError/],
  ['a giant width', "{{ 'a'.center(10 ** 10) }}", /MemoryError/],
  ['a giant width of a format', "{{ '%99999999999d' % 1 }}", /MemoryError/],
  ['a giant width of another format', "{{ '{:99999999999}'.format(1) }}", /MemoryError/],
  ['a giant precision', "{{ '%.999999999f' % 1.5 }}", /precision/],
  ['a giant precision of an int', "{{ '%.999999999d' % 1 }}", /MemoryError/],
  ['a giant fill', '{{ [1]|batch(10 ** 9, 0)|list }}', /MemoryError/],
  ['giant slices', '{{ [1]|slice(10 ** 9)|list }}', /MemoryError/],
  ['a replacement that grows', "{{ ('a' * 100000).replace('a', 'b' * 100000) }}", /MemoryError/],
  ['a join that grows', "{{ ('b' * 100000).join('a' * 100000) }}", /MemoryError/],
  ['giant pieces', "{{ ('a' * (3 * 10 ** 7)).split('a')|length }}", /MemoryError|timed out/],
  ['giant letters', "{% for c in 'a' * 10 ** 8 %}{% endfor %}", /MemoryError/],
  ['a giant power', '{{ 10 ** (10 ** 10) }}', /OverflowError/],
  [
    'a product that grows',
    '{% set ns = namespace(x=3) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}',
    /OverflowError/,
  ],
  ['a giant output', "{% set x = 'a' * 10 ** 6 %}{% for i in range(99999) %}{{ x }}{% endfor %}", /MemoryError/],
  ['the constructor of functions', "{{ ''.constructor.constructor('return process')() }}", /UndefinedError/],
  ['a prototype', '{{ messages.__proto__.x }}', /UndefinedError/],
  ['a class', "{{ ''.__class__.__mro__ }}", /SecurityError/],
  ['a changed value', '{{ messages.append(1) }}', /SecurityError/],
  ['a changed message', "{{ messages[0].update({'role': 'x'}) }}", /SecurityError/],
]

for (const [what, text, message] of hostile) {
  test(`a template with ${what} ends in a typed error`, () => {
    assert.throws(
      () => compile(text).render(MESSAGES),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'CHAT_TEMPLATE')
        assert.match(error.message, message)
        return true
      },
    )
  })
}

test('names of JavaScript are no names of a template', () => {
  const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf']
  for (const name of names) {
    assert.equal(compile(`{{ ${name} is defined }}`).render(MESSAGES), 'False')
    for (const value of ['messages', 'messages[0]', "''", '1', 'namespace()', 'range', '{}'])
      assert.equal(
        compile(`{{ (${value}).${name} is defined }}{{ (${value})['${name}'] is defined }}`).render(MESSAGES),
        'FalseFalse',
      )
    assert.throws(() => compile(`{{ 1|${name} }}`), { code: 'CHAT_TEMPLATE' })
    assert.throws(() => compile(`{{ 1 is ${name} }}`), { code: 'CHAT_TEMPLATE' })
  }
  const own = "{% set ns = namespace() %}{% set ns.__proto__ = 1 %}{{ {'__proto__': 2}['__proto__'] }}"
  assert.equal(compile(own).render(MESSAGES), '2')
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
})

test('an honest template is rendered after hostile ones, and a long one in a moment', () => {
  const text = "{% for m in messages %}{{ m.role ~ ': ' ~ m.content.strip() ~ '\\n' }}{% endfor %}"
  const long = Array.from({ length: 2000 }, () => ({ role: 'user' as const, content: ` ${'word 😀 '.repeat(100)}` }))
  assert.equal(compile(text).render(MESSAGES), 'user: a\n')
  assert.equal(compile(text).render(long).length, 2000 * ('user: \n'.length + 'word 😀 '.length * 100 - 1))
})

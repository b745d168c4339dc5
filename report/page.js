'use strict';
// The explorer: pick an exit of L2 of a traced run, see who ran until L2 went on. All text goes in as text, none as markup.
(() => {
const runs = JSON.parse(document.getElementById('traces').textContent);
const by = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
const LEVELS = ['L2', 'L1', 'L0'];
const CHARACTER = 6.6; // width of a figure in the lanes
let run, exits = [], at = 0;

// make('td', { class: 'text' }, child...): an element. A child is an element or text.
function make(name, attributes = {}, ...children) {
	const node = attributes.xmlns ? document.createElementNS(SVG, name) : document.createElement(name);
	for (const [key, value] of Object.entries(attributes))
		if (key !== 'xmlns')
			node.setAttribute(key, value);
	node.append(...children);
	return node;
}

const draw = (name, attributes, ...children) => make(name, { xmlns: SVG, ...attributes }, ...children);

// A figure in groups of three. What is copied has no spaces: the groups are set apart by style.
function figure(number) {
	const groups = String(number).replace(/\B(?=(\d{3})+$)/g, ' ').split(' ');
	return groups.length < 2 || groups[0].length + groups.length < 4 && number < 10000 ? [String(number)] :
		groups.map((group, i) => i ? make('i', {}, group) : group);
}

const cell = (number, attributes = {}) => make('td', attributes, ...figure(number));
const total = exit => exit.l0 + exit.l1;
const kind = exit => `${exit.reason} ${exit.owner}`;
const named = exit => exit.reason + (exit.entry_failed ? ' (an entry that failed)' : '');
const who = level => make('span', { class: `who ${level}` }, level);

function share(exit, most) {
	const bar = make('span', { class: 'share', 'aria-hidden': 'true' });
	for (const [level, ticks] of [['L0', exit.l0], ['L1', exit.l1]])
		if (ticks)
			bar.append(make('span', { class: level, style: `width: ${Math.min(100, 100 * ticks / most)}%` }));
	return bar;
}

function exitsOfL1(exit) {
	return Object.entries(exit.exits_of_l1).map(([reason, count]) => `${reason} ${count}`).join(', ') || 'none';
}

function sumOfExits(exit) {
	return Object.values(exit.exits_of_l1).reduce((sum, count) => sum + count, 0);
}

// The lanes: a bar for each step, at its level, from left to right; what L0 did stands below it.
function drawLanes(exit) {
	const linear = document.querySelector('[name=scale]:checked').value === 'linear';
	const ticks = exit.steps.reduce((sum, step) => sum + step.ticks, 0);
	const weights = exit.steps.map(step => linear ? Math.max(step.ticks, ticks / 500) : Math.log2(2 + step.ticks));
	const needed = step => String(step.ticks).length * CHARACTER + 4;
	const left = 34, right = 96, height = 30, gap = 12, top = 10;
	const fit = (by('lanes').clientWidth - left - right - 2) / weights.reduce((sum, weight) => sum + weight, 0);
	const unit = linear ? fit : Math.max(fit, ...exit.steps.map((step, i) => needed(step) / weights[i]));
	const y = level => top + LEVELS.indexOf(level) * (height + gap);
	const bottom = y('L0') + height;
	const width = left + right + unit * weights.reduce((sum, weight) => sum + weight, 0);
	const texts = exit.steps.map(step => step.what.length > 30 ? step.what.slice(0, 29) + '\u2026' : step.what);
	const longest = Math.max(...exit.steps.map((step, i) => step.who === 'L0' ? texts[i].length : 0));
	const svg = draw('svg', { width, height: bottom + 20 + longest * 3.4, role: 'img', 'aria-label':
		`${exit.steps.length} steps; L0 ran ${exit.l0}, L1 ${exit.l1} ${run.unit}` });
	for (const level of LEVELS) {
		svg.append(draw('rect', { class: 'lane', x: left - 4, y: y(level), width: width - left - right + 8, height }));
		svg.append(draw('text', { class: 'level', x: 8, y: y(level) + height / 2 + 4 }, level));
	}
	let x = left, labelled = -99;
	exit.steps.forEach((step, i) => {
		const wide = weights[i] * unit, before = exit.steps[i - 1];
		if (before)
			svg.append(draw('line', { class: 'way', x1: x, x2: x, y1: y(before.who) + height / 2, y2: y(step.who) + height / 2 }));
		svg.append(draw('rect', { class: `bar ${step.who}`, 'data-step': i, x: x + .5, y: y(step.who),
			width: Math.max(wide - 1, 1), height, rx: 2 }, draw('title', {}, `${step.who}: ${step.what}, ${step.ticks} ${run.unit}`)));
		if (wide >= needed(step) - 2)
			svg.append(draw('text', { class: 'count', x: x + wide / 2, y: y(step.who) + height / 2 + 4 }, String(step.ticks)));
		const middle = x + wide / 2;
		if (step.who === 'L0' && middle - labelled > 15) {
			svg.append(draw('text', { class: 'label', transform: `translate(${middle - 3} ${bottom + 13}) rotate(33)` }, texts[i]));
			labelled = middle;
		}
		x += wide;
	});
	by('lanes').replaceChildren(svg);
}

function stepRow(step, i, most) {
	const what = make('td', { style: `padding-left: ${.7 + 1.1 * step.depth}rem` }, step.what);
	for (const note of step.notes || [])
		what.append(make('small', {}, note));
	const bar = make('span', { class: step.who, style: `width: ${most ? Math.max(100 * step.ticks / most, .8) : 0}%` });
	return make('tr', { 'data-step': i }, make('td', {}, String(i + 1)), make('td', {}, who(step.who)), what,
		cell(step.ticks), make('td', { class: 'bar', 'aria-hidden': 'true' }, bar));
}

function showSteps(exit) {
	const most = Math.max(...exit.steps.map(step => step.ticks));
	const head = make('thead', {}, make('tr', {}, ...[['#', ''], ['who', 'text'], ['what', 'text'], [run.unit, ''], ['', '']]
		.map(([name, type]) => make('th', { scope: 'col', class: type }, name))));
	const sums = ['L0', 'L1'].map(level => make('tr', { 'data-sum': level }, make('td'), make('td', {}, who(level)),
		make('td', {}, 'in all'), cell(exit.steps.reduce((sum, step) => sum + (step.who === level ? step.ticks : 0), 0)),
		make('td')));
	by('steps').replaceChildren(head, make('tbody', {}, ...exit.steps.map((step, i) => stepRow(step, i, most))),
		make('tfoot', {}, ...sums));
}

// Of another run the exit of the same kind, and of those the one that was as many before it; or the nearest of the sample.
function counterpart(other, exit) {
	return other.exits.filter(candidate => kind(candidate) === kind(exit)).reduce((best, candidate) =>
		!best || Math.abs(candidate.nth - exit.nth) < Math.abs(best.nth - exit.nth) ? candidate : best, null);
}

function compareRow(other, exit, most) {
	const found = other === run ? exit : counterpart(other, exit);
	const title = make('th', { scope: 'row' }, other.title);
	if (!found)
		return make('tr', {}, title, make('td', { class: 'none text', colspan: 6 }, 'no such exit'));
	const button = make('button', { type: 'button', 'data-run': other.name, 'data-exit': found.exit }, `exit ${found.exit}`);
	return make('tr', other === run ? { class: 'chosen' } : {}, title, make('td', { class: 'text' }, button), cell(found.l0),
		cell(found.l1), cell(sumOfExits(found)), make('td', { class: 'text' }, exitsOfL1(found)),
		make('td', { class: 'bar' }, share(found, most)));
}

function showComparison(exit) {
	const most = Math.max(1, ...runs.map(other => counterpart(other, exit)).filter(found => found).map(total), total(exit));
	const names = [['run', 'text'], ['exit', 'text'], ['L0', ''], ['L1', ''], ['exits of L1', ''], ['of which', 'text'], [run.unit, 'text']];
	by('compare').replaceChildren(make('thead', {}, make('tr', {}, ...names.map(([name, type]) =>
		make('th', { scope: 'col', class: type }, name)))), make('tbody', {}, ...runs.map(other => compareRow(other, exit, most))));
}

function showSums(exit) {
	const rows = [['L0 ran', figure(exit.l0), run.unit], ['L1 ran', figure(exit.l1), run.unit],
		['exits of L1', figure(sumOfExits(exit)), sumOfExits(exit) ? exitsOfL1(exit) : '']];
	by('sums').replaceChildren(...rows.map(([name, number, more]) => make('div', {}, make('dt', {}, name),
		make('dd', {}, ...number, ' ', make('small', {}, more)))));
}

function showExit() {
	const exit = exits[at];
	by('exit').hidden = !exit;
	if (!exit)
		return;
	by('title').replaceChildren(`Exit ${exit.exit}: ${named(exit)}${exit.detail ? `, ${exit.detail}` : ''}`);
	by('about').replaceChildren(`handled by ${exit.owner || 'nobody: the run ended'}, rip ${exit.rip}, VMCS ${exit.vmcs}, ` +
		`CPU ${exit.cpu}, at ${exit.start}; as text: `, make('code', {}, `./turtles trace ${run.folder} --exit ${exit.exit}`));
	showSums(exit);
	drawLanes(exit);
	showSteps(exit);
	showComparison(exit);
	by('previous').disabled = at === 0;
	by('next').disabled = at === exits.length - 1;
	mark();
}

// The list's own mark, and its place in view, without moving the page.
function mark() {
	const list = by('exits'), chosen = list.children[at];
	for (const item of list.querySelectorAll('[aria-selected=true]'))
		item.setAttribute('aria-selected', 'false');
	chosen.setAttribute('aria-selected', 'true');
	list.setAttribute('aria-activedescendant', chosen.id);
	const above = chosen.offsetTop - list.offsetTop;
	if (above < list.scrollTop)
		list.scrollTop = above;
	else if (above + chosen.offsetHeight > list.scrollTop + list.clientHeight)
		list.scrollTop = above + chosen.offsetHeight - list.clientHeight;
}

// What nineteen in twenty do not exceed: a few first exits are so dear that they would leave nothing to see of the others.
function usual(totals) {
	return Math.max(1, totals.sort((a, b) => a - b)[Math.floor(totals.length * .95)] || 0);
}

function item(exit, i, most) {
	return make('div', { role: 'option', id: `exit-${i}`, 'aria-selected': 'false', 'data-exit': exit.exit },
		make('span', { class: 'number' }, String(exit.exit)),
		make('span', { class: 'what' }, named(exit), ' ', make('small', {}, exit.detail)),
		make('span', {}, ...figure(total(exit))), share(exit, most));
}

// list(number): the exits that the filters leave; that one is chosen, or else the first.
function list(number) {
	const wanted = by('reason').value, word = by('search').value.trim().toLowerCase();
	exits = run.exits.filter(exit => (!wanted || kind(exit) === wanted) &&
		(!word || JSON.stringify(exit).toLowerCase().includes(word)));
	at = Math.max(0, exits.findIndex(exit => exit.exit === number));
	const most = usual(run.exits.map(total));
	by('exits').replaceChildren(...exits.map((exit, i) => item(exit, i, most)));
	if (!exits.length)
		by('exits').append(make('p', { class: 'empty' }, 'No exit is like that.'));
	by('shown').value = `${exits.length} of ${run.exits.length} exits` +
		(run.of > run.exits.length ? `, a sample of the run's ${run.of}` : '');
	showExit();
}

function showRun(chosen, number) {
	run = chosen;
	by('run').value = run.name;
	const counts = new Map();
	for (const exit of run.exits)
		counts.set(kind(exit), (counts.get(kind(exit)) || 0) + 1);
	const kept = by('reason').value;
	by('reason').replaceChildren(make('option', { value: '' }, 'all'), ...[...counts.keys()].sort().map(name =>
		make('option', { value: name }, `${name.replace(' ', ', by ').replace('by null', 'the last')} (${counts.get(name)})`)));
	by('reason').value = counts.has(kept) ? kept : '';
	const facts = run.facts;
	by('origin').replaceChildren(...(run.command ? [make('code', {}, run.command), ' \u2014 '] : []),
		[facts.emulator_version, facts.cpu_model, facts.cpus && `${facts.cpus} CPU`, facts.memory_mib && `${facts.memory_mib} MiB`,
			facts.commit && `Turtles ${facts.commit}`, `all of it is in ${run.folder}`].filter(fact => fact).join(', '));
	list(number);
}

function go(to) {
	if (to < 0 || to >= exits.length)
		return;
	at = to;
	showExit();
	remember();
}

// The address names the exit, so that it can be passed on.
function remember() {
	if (exits[at])
		history.replaceState(null, '', `#exit=${run.name}:${exits[at].exit}`);
}

function fromAddress() {
	const [, name, number] = /^#exit=([^:]+):(\d+)$/.exec(location.hash) || [];
	const found = runs.find(candidate => candidate.name === name);
	if (!found)
		return false;
	by('reason').value = by('search').value = '';
	showRun(found, Number(number));
	by('explorer').scrollIntoView();
	return true;
}

// To begin with: of the first kind of exit that L1 handled, the one in the middle, when L0 has learned what L1 needs.
function typical(chosen) {
	const first = chosen.exits.find(exit => exit.owner === 'L1') || chosen.exits[0];
	const same = chosen.exits.filter(exit => kind(exit) === kind(first));
	return same.length && same[Math.floor(same.length / 2)].exit;
}

function lightUp(event) {
	const step = event.target.closest('[data-step]');
	for (const lit of document.querySelectorAll('#explorer .lit'))
		lit.classList.remove('lit');
	if (step)
		for (const lit of document.querySelectorAll(`#explorer [data-step="${step.dataset.step}"]`))
			lit.classList.add('lit');
}

const PAGE = 10;
const LIST_KEYS = { ArrowDown: () => at + 1, ArrowUp: () => at - 1, Home: () => 0, End: () => exits.length - 1,
	PageDown: () => Math.min(at + PAGE, exits.length - 1), PageUp: () => Math.max(at - PAGE, 0) };
const PAGE_KEYS = { ArrowRight: () => at + 1, ArrowLeft: () => at - 1 };

function onKey(event) {
	const keys = event.target.id === 'exits' ? { ...LIST_KEYS, ...PAGE_KEYS } : PAGE_KEYS;
	if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest('input, select, .scroll') || !keys[event.key])
		return;
	event.preventDefault();
	go(keys[event.key]());
}

function listen() {
	by('run').addEventListener('change', () => { showRun(runs.find(candidate => candidate.name === by('run').value)); remember(); });
	by('reason').addEventListener('change', () => { list(); remember(); });
	by('search').addEventListener('input', () => list(exits[at] && exits[at].exit));
	by('exits').addEventListener('click', event => {
		const chosen = event.target.closest('[role=option]');
		if (chosen)
			go([...by('exits').children].indexOf(chosen));
	});
	by('compare').addEventListener('click', event => {
		const button = event.target.closest('button');
		if (!button)
			return;
		showRun(runs.find(candidate => candidate.name === button.dataset.run), Number(button.dataset.exit));
		remember();
	});
	by('previous').addEventListener('click', () => go(at - 1));
	by('next').addEventListener('click', () => go(at + 1));
	by('explorer').addEventListener('keydown', onKey);
	by('exit').addEventListener('pointerover', lightUp);
	for (const radio of document.querySelectorAll('[name=scale]'))
		radio.addEventListener('change', () => drawLanes(exits[at]));
	addEventListener('hashchange', fromAddress);
	new ResizeObserver(() => exits[at] && drawLanes(exits[at])).observe(by('lanes'));
}

// The contents tell where one is; what is folded is printed.
function frame() {
	const links = new Map([...document.querySelectorAll('nav a')].map(link => [link.hash.slice(1), link]));
	const watcher = new IntersectionObserver(entries => {
		for (const entry of entries)
			if (entry.isIntersecting) {
				for (const link of links.values())
					link.removeAttribute('aria-current');
				links.get(entry.target.id).setAttribute('aria-current', 'true');
			}
	}, { rootMargin: '-15% 0px -80% 0px' });
	for (const id of links.keys())
		watcher.observe(by(id));
	addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(folded => { folded.open = true; }));
}

by('run').replaceChildren(...runs.map(candidate => make('option', { value: candidate.name }, candidate.title)));
listen();
frame();
if (!fromAddress())
	showRun(runs[0], typical(runs[0]));
})();

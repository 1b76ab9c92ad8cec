// Niceties only: the page says everything without them.
(function(){
'use strict';
var d=document,tip=d.createElement('div'),on=null;
tip.id='tip';d.body.appendChild(tip);d.documentElement.className='js';
function cell(e){return e.target.closest&&e.target.closest('.heat td a')}
function hide(){tip.style.display='none'}
// A cell says what it is: its row, its column, and what its case found.
function show(a,x,y){
 var c=d.querySelector(a.getAttribute('href'));
 if(!c)return;
 var b=d.createElement('b'),f=c.querySelector('.one>div'),s='',n;
 b.textContent=c.querySelector('h3').textContent;
 for(n=f&&f.firstChild;n&&n.nodeName!=='TABLE';n=n.nextSibling)s+=n.textContent;
 tip.replaceChildren(b,s.slice(0,300));
 tip.style.display='block';
 var w=tip.offsetWidth,h=tip.offsetHeight;
 tip.style.left=Math.max(4,Math.min(x+14,innerWidth-w-6))+'px';
 tip.style.top=(y+18+h>innerHeight?y-h-10:y+18)+'px';
}
d.addEventListener('mousemove',function(e){var a=cell(e);a?show(a,e.clientX,e.clientY):hide()});
d.addEventListener('focusin',function(e){var a=cell(e);if(a){var r=a.getBoundingClientRect();show(a,r.left,r.bottom-12)}});
d.addEventListener('focusout',hide);
d.addEventListener('scroll',hide,true);
function mark(){
 d.querySelectorAll('.heat a.on').forEach(function(a){a.classList.remove('on')});
 on=/^#c\d+$/.test(location.hash)?d.querySelector('.heat a[href="'+location.hash+'"]'):null;
 if(on)on.classList.add('on');
}
addEventListener('hashchange',mark);mark();
// While a case is open: Escape closes it, the arrows walk over the heat map.
d.addEventListener('keydown',function(e){
 if(!on||e.altKey||e.ctrlKey||e.metaKey)return;
 if(e.key==='Escape'){location.hash='closed';return}
 var td=on.parentNode,tr=td.parentNode,i=Array.prototype.indexOf.call(tr.cells,td),to=null;
 if(e.key==='ArrowLeft')while(!to&&--i>0)to=tr.cells[i].querySelector('a');
 else if(e.key==='ArrowRight')while(!to&&++i<tr.cells.length)to=tr.cells[i].querySelector('a');
 else if(e.key==='ArrowUp'||e.key==='ArrowDown'){
  var step=e.key==='ArrowUp'?'previousElementSibling':'nextElementSibling';
  for(tr=tr[step];tr&&!to;tr=tr[step])to=tr.cells[i]&&tr.cells[i].querySelector('a');
 }else return;
 if(to){e.preventDefault();location.hash=to.getAttribute('href');to.focus({preventScroll:false})}
});
})();
